<?php
// A page that calls something slow between two queries. With the setting it lets its PDO go before the call.
require __DIR__ . '/rounds.php';

report((int) $_GET['round'], function () {
    $options = [PDO::ATTR_PERSISTENT => getenv('PERSISTENT') === 'on'];
    $db = connect($options);
    $db->query('select 1')->fetchAll();
    if (helped()) {
        $db = null;
    }
    pause();
    $db ??= connect($options);
    $db->query('select 1')->fetchAll();
});
