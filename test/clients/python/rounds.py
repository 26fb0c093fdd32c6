# What each program of this folder does: a few requests, a pause, and again, for ever. One line of JSON for each request.
import json
import os
import sys
import threading
import time

URL = os.environ['DATABASE_URL']
# Whether the setting of docs/clients.md is on.
HELPED = os.environ.get('SETTING') == 'on'


def report(number, request):
    try:
        request()
        result = {'ok': True}
    except Exception as e:
        inner = getattr(e, 'orig', None) or e.__cause__ or e
        code = getattr(inner, 'sqlstate', None) or getattr(inner, 'pgcode', None)
        name = f'{type(e).__module__}.{type(e).__name__}'
        result = {'ok': False, 'error': f'{name}: {e}', 'sqlstate': code}
    # One write: threads share the output.
    sys.stdout.write(json.dumps({'round': number, **result}) + '\n')
    sys.stdout.flush()


def pause():
    time.sleep(int(os.environ.get('PAUSE_MS', '1000')) / 1000)


def rounds(request, at_once=4):
    """Some requests at once, each in a thread, and two in sequence."""
    number = 0
    while True:
        number += 1
        threads = [threading.Thread(target=report, args=(number, request)) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(2 if at_once else 6):
            report(number, request)
        pause()
