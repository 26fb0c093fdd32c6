<?php
// Laravel's query builder, or its raw PDO with the argument `pdo`, or a transaction over a slow call with `transaction`.
require __DIR__ . '/rounds.php';
require __DIR__ . '/laravel-database.php';

use Illuminate\Support\Facades\DB;

$requests = [
    'builder' => fn () => DB::select('select 1'),
    'pdo' => fn () => helped() ? DB::select('select 1') : DB::getPdo()->query('select 1')->fetchAll(),
];
rounds($requests[$argv[1] ?? 'builder']);
