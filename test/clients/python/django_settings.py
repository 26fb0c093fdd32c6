# A Django with nothing but its database, from the variables of libpq.
import os
import django
from django.conf import settings


def configure(**options):
    database = {
        'ENGINE': 'django.db.backends.postgresql',
        'HOST': os.environ['PGHOST'],
        'PORT': os.environ['PGPORT'],
        'NAME': os.environ['PGDATABASE'],
        'USER': os.environ['PGUSER'],
        'PASSWORD': os.environ['PGPASSWORD'],
        **options,
    }
    settings.configure(DATABASES={'default': database})
    django.setup()
