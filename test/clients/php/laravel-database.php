<?php
// Laravel's database, as `config/database.php` and Laravel itself would set it up. The facade DB works.
foreach (['Database', 'Events', 'Queue'] as $part) require_once "Illuminate/$part/autoload.php";

use Illuminate\Container\Container;
use Illuminate\Database\Capsule\Manager;
use Illuminate\Events\Dispatcher;
use Illuminate\Support\Facades\Facade;

function laravel(array $options = [], array $more = []): Container
{
    $app = new Container();
    $capsule = new Manager($app);
    $capsule->addConnection($more + [
        'driver' => 'pgsql', 'host' => getenv('PGHOST'), 'port' => getenv('PGPORT'), 'database' => getenv('PGDATABASE'),
        'username' => getenv('PGUSER'), 'password' => getenv('PGPASSWORD'), 'charset' => 'utf8', 'options' => $options,
    ]);
    $app->instance('events', new Dispatcher($app));
    $capsule->setEventDispatcher($app['events']);
    $app->instance('db', $capsule->getDatabaseManager());
    Facade::setFacadeApplication($app);
    return $app;
}

$app = laravel();
