<?php
// A page that asks the database, as each request of PHP-FPM does: with a PDO of its own.
require __DIR__ . '/rounds.php';

$options = [PDO::ATTR_PERSISTENT => getenv('PERSISTENT') === 'on'];

function query(PDO $db): array
{
    return $db->query('select 1')->fetchAll();
}

report((int) $_GET['round'], function () use ($options) {
    $db = connect($options);
    try {
        query($db);
    } catch (PDOException $e) {
        if (!helped()) throw $e;
        $db = connect($options);
        query($db);
    }
});
