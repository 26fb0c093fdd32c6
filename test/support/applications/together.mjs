/**
 * A query that runs until this many sessions of the role are there. Before that none of them is idle, so that none is
 * ended alone, however slowly they connect.
 */
export const together = (sessions) => `do $$ begin
  while (select count(*) from pg_stat_activity where usename = current_user) < ${sessions} loop
    perform pg_sleep(0.01), pg_stat_clear_snapshot();
  end loop;
end $$`
