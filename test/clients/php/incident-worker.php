<?php
// A worker of the incident: a job by Laravel's database, a pause, and again. Arguments: the shortest and the longest pause, ms.
require __DIR__ . '/rounds.php';
require __DIR__ . '/laravel-database.php';

use Illuminate\Support\Facades\DB;

[, $shortest, $longest] = $argv;
$modes = explode(' ', getenv('MODES') ?: '');
if (in_array('settings', $modes)) {
    // What the incident's write-up set, all at once.
    laravel(
        [PDO::ATTR_AUTOCOMMIT => false, PDO::ATTR_TIMEOUT => 5, PDO::ATTR_PERSISTENT => false],
        ['sticky' => false],
    );
} elseif (in_array('split', $modes)) {
    $host = ['host' => [getenv('PGHOST')]];
    laravel([], ['read' => $host, 'write' => $host, 'sticky' => true]);
}
if (getenv('POOLER') === 'on') laravel([PDO::ATTR_EMULATE_PREPARES => true]);
for (;;) {
    usleep(1000 * random_int((int) $shortest, (int) $longest));
    report(0, function () {
        DB::select('select pg_sleep(0.02)');
        DB::affectingStatement('update orders set paid = true where id = 1');
    });
    if (in_array('disconnect', $modes)) DB::disconnect();
}
