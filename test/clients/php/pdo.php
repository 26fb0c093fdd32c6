<?php
// One PDO for the life of the process, as in a worker or a command.
require __DIR__ . '/rounds.php';

function lost(PDOException $e): bool { return (bool) preg_match('/server closed the connection|connection has been closed|no connection to the server|terminating connection due to/', $e->getMessage()); }

function query(PDO $db): array
{
    return $db->query('select 1')->fetchAll();
}

$db = connect();
rounds(function () use (&$db) {
    if (!helped()) return query($db);
    $began = $db->inTransaction();
    try { $rows = query($db); } catch (PDOException $e) { if ($began || !lost($e)) throw $e; $db = connect(); $rows = query($db); }
    return $rows;
});
