import asyncio
import threading
import asyncpg
from rounds import URL, rounds

# The pool lives in the event loop of a thread of its own, and the requests of the other threads wait for it.
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


def wait_for(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


async def connect():
    return await asyncpg.create_pool(URL, min_size=4)


pool = wait_for(connect())


async def query():
    return await pool.fetchval('SELECT 1')


rounds(lambda: wait_for(query()))
