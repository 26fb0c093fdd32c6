# One connection for the life of the process.
import psycopg2
from rounds import HELPED, URL, rounds


def connect():
    c = psycopg2.connect(URL)
    c.autocommit = True
    return c


def query():
    with c.cursor() as cursor:
        cursor.execute('SELECT 1')
        return cursor.fetchall()


c = connect()


def request():
    global c
    if not HELPED:
        return query()
    try:
        return query()
    except psycopg2.OperationalError:
        if not c.closed: raise
        c = connect()
        return query()


rounds(request, at_once=0)
