<?php
require __DIR__ . '/rounds.php';
require 'Doctrine/DBAL/autoload.php';

use Doctrine\DBAL\DriverManager;

$db = DriverManager::getConnection([
    'driver' => 'pdo_pgsql', 'host' => getenv('PGHOST'), 'port' => (int) getenv('PGPORT'), 'dbname' => getenv('PGDATABASE'),
    'user' => getenv('PGUSER'), 'password' => getenv('PGPASSWORD'),
]);
rounds(function () use ($db) {
    $db->fetchOne('select 1');
    if (helped()) {
        $db->close();
    }
});
