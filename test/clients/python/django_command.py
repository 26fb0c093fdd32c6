# A management command that works for ever. No request begins or ends in it.
from django_settings import configure
from rounds import HELPED, rounds

configure()

from django.db import close_old_connections, connection


def request():
    if HELPED:
        close_old_connections()
    with connection.cursor() as cursor:
        cursor.execute('SELECT 1')
        cursor.fetchall()


rounds(request, at_once=0)
