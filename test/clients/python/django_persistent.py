# Requests of a web server thread, between the signals that Django sends for each request.
import django
from django_settings import configure
from rounds import HELPED, rounds

# Before Django 4.1 there is no health check; an age under the rule's does the same.
SETTING = {'CONN_HEALTH_CHECKS': True} if django.VERSION >= (4, 1) else {'CONN_MAX_AGE': 0.2}
configure(**{'CONN_MAX_AGE': None, **(SETTING if HELPED else {})})

from django.core.signals import request_finished, request_started
from django.db import connection


def request():
    request_started.send(sender=None)
    try:
        with connection.cursor() as cursor:
            cursor.execute('SELECT 1')
            cursor.fetchall()
    finally:
        request_finished.send(sender=None)


rounds(request, at_once=0)
