<?php
// What each program of this folder does: a few requests, a pause, and again, for ever. One line of JSON for each request.

/** Whether the setting of docs/clients.md is on. */
function helped(): bool
{
    return getenv('SETTING') === 'on';
}

function rounds(callable $request): never
{
    for ($round = 1; ; $round++) {
        for ($number = 1; $number <= 6; $number++) report($round, $request);
        pause();
    }
}

function pause(): void
{
    usleep(1000 * (int) (getenv('PAUSE_MS') ?: 1000));
}

function report(int $round, callable $request): void
{
    try {
        $request();
        $result = ['ok' => true];
    } catch (Throwable $e) {
        $result = ['ok' => false, 'error' => get_class($e) . ': ' . $e->getMessage(), 'sqlstate' => sqlstate($e)];
    }
    echo json_encode(['round' => $round] + $result, JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}

function sqlstate(Throwable $e): ?string
{
    if ($e instanceof PDOException) return $e->errorInfo[0] ?? (string) $e->getCode();
    return $e->getPrevious() ? sqlstate($e->getPrevious()) : null;
}

/** A DSN of PDO for the server in the variables of libpq. */
function dsn(): string
{
    return sprintf('pgsql:host=%s;port=%s;dbname=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'));
}

function connect(array $options = []): PDO
{
    // PgBouncer before 1.21 knows no prepared statements in transaction mode.
    if (getenv('POOLER') === 'on') $options[PDO::ATTR_EMULATE_PREPARES] = true;
    return new PDO(dsn(), getenv('PGUSER'), getenv('PGPASSWORD'), $options);
}
