#!/bin/sh
# The usual cure for the incident, written from its description, with its faults. It counts the idle
# sessions, lists the old ones (or all of them if there are more than CROWD), and ends them by pid.
# Reads AGE (an interval), CROWD, and libpq's PG* variables.
idle="usename = 'shop_app' and state = 'idle'"
count=$(psql -XAtc "select count(*) from pg_stat_activity where $idle")
old="and now() - state_change > interval '$AGE'"
if [ "$count" -gt "$CROWD" ]; then old=''; fi
for pid in $(psql -XAtc "select pid from pg_stat_activity where $idle $old"); do
  echo "select pg_terminate_backend($pid);"
done | psql -XAtq >/dev/null
