import logging
import psycopg
from psycopg_pool import ConnectionPool
from rounds import HELPED, URL, rounds

logging.disable()


class Pool(ConnectionPool):
    def getconn(self, timeout=None):
        while True:
            c = super().getconn(timeout)
            try: c.execute('SELECT 1'); c.autocommit or c.rollback(); return c
            except psycopg.OperationalError: self.putconn(c)


pool = (Pool if HELPED else ConnectionPool)(URL)


def request():
    with pool.connection() as c:
        c.execute('SELECT 1').fetchall()


rounds(request)
