# One connection for the life of the process.
import psycopg
from rounds import HELPED, URL, rounds


def connect():
    return psycopg.connect(URL, autocommit=True)


c = connect()


def request():
    global c
    if not HELPED:
        return c.execute('SELECT 1').fetchall()
    try:
        return c.execute('SELECT 1').fetchall()
    except psycopg.OperationalError:
        if not c.broken: raise
        c = connect()
        return c.execute('SELECT 1').fetchall()


rounds(request, at_once=0)
