<?php
// A slow call inside a transaction, which the rule `idle in transaction` ends.
require __DIR__ . '/rounds.php';
require __DIR__ . '/laravel-database.php';

use Illuminate\Support\Facades\DB;

$work = function () {
    DB::select('select 1');
    pause();
    DB::select('select 1');
};

for ($round = 1; ; $round++) {
    report($round, function () use ($work) {
        if (!helped()) return DB::transaction($work);
        try { DB::transaction($work); } catch (PDOException $e) { DB::reconnect(); throw $e; }
    });
}
