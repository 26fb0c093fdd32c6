<?php
// Laravel's worker, with a queue outside the database: Redis or SQS. Here the queue is in memory and has a job each pause.
require __DIR__ . '/rounds.php';
require __DIR__ . '/laravel-database.php';

use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Queue\Events\JobExceptionOccurred;
use Illuminate\Queue\Events\JobFailed;
use Illuminate\Queue\Events\JobProcessed;
use Illuminate\Queue\Jobs\SyncJob;
use Illuminate\Queue\Worker;
use Illuminate\Queue\WorkerOptions;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Event;

/** A queue from which a job can be had now, or after a pause when six were done. */
class Elsewhere extends Illuminate\Queue\Queue implements Illuminate\Contracts\Queue\Queue
{
    private int $popped = 0;

    public function pop($queue = null)
    {
        if ($this->popped > 0 && $this->popped % 6 === 0) pause();
        $payload = json_encode(['uuid' => uniqid(), 'job' => Request::class . '@fire', 'data' => ['round' => 1 + intdiv($this->popped++, 6)]]);
        return new SyncJob($this->container, $payload, $this->connectionName, 'default');
    }

    public function size($queue = null) { return 0; }
    public function push($job, $data = '', $queue = null) {}
    public function pushRaw($payload, $queue = null, array $options = []) {}
    public function later($delay, $job, $data = '', $queue = null) {}
}

class Request
{
    public function fire($job, array $data): void
    {
        report($data['round'], fn () => DB::select('select 1'));
        $job->delete();
    }
}

class Handler implements ExceptionHandler
{
    public function report(Throwable $e) { fwrite(STDERR, $e->getMessage() . "\n"); }
    public function shouldReport(Throwable $e) { return true; }
    public function render($request, Throwable $e) {}
    public function renderForConsole($output, Throwable $e) {}
}

$app['config']['queue.connections.elsewhere'] = ['driver' => 'elsewhere'];
$queues = new Illuminate\Queue\QueueManager($app);
$queues->addConnector('elsewhere', fn () => new class implements Illuminate\Queue\Connectors\ConnectorInterface {
    public function connect(array $config) { return new Elsewhere(); }
});
if (helped()) {
    Event::listen([JobProcessed::class, JobFailed::class, JobExceptionOccurred::class], fn () => DB::disconnect());
}
(new Worker($queues, $app['events'], new Handler(), fn () => false))->daemon('elsewhere', 'default', new WorkerOptions(sleep: 0, maxTries: 1));
