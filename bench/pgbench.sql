\set pause random(0, :gap)
\sleep :pause ms
begin;
insert into ledger values (:client_id::text);
commit;
