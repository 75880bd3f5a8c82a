-- name: tables
-- The tables of both schemas with their columns, but for versions: migrations write those. The
-- transaction ids of rung values mean nothing elsewhere; restored values get that of the restore.
select n.nspname::text, c.relname::text,
       array_agg(a.attname::text order by a.attnum),
       array_agg(a.attname::text order by a.attnum) filter (
           where pg_get_serial_sequence(c.oid::regclass::text, a.attname) is not null)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind = 'r' and c.relname <> all(%(versions)s)
  and (n.nspname = 'tuner' or c.oid = any(
      select to_regclass(name)::oid from unnest(%(optuna_tables)s) name))
  and not (n.nspname = 'tuner' and c.relname = 'rung' and a.attname = 'xid')
group by n.nspname, c.relname order by 1, 2;

-- name: references
-- Which table refers to which: a referred one is restored first.
select rn.nspname::text, r.relname::text, tn.nspname::text, t.relname::text
from pg_constraint k
join pg_class r on r.oid = k.conrelid join pg_namespace rn on rn.oid = r.relnamespace
join pg_class t on t.oid = k.confrelid join pg_namespace tn on tn.oid = t.relnamespace
where k.contype = 'f' and k.conrelid <> k.confrelid;

-- name: begin_snapshot
-- Everything that is copied is of one moment, whatever agents write meanwhile.
begin isolation level repeatable read read only;

-- name: take_time
-- In this transaction: copying takes longer than a statement may otherwise.
select set_config(name, '0', true)
from unnest(array['statement_timeout', 'idle_in_transaction_session_timeout']) name;

-- name: copy_out
-- One table, in the form that every version of Postgres reads.
copy {table} ({columns}) to stdout (format binary);

-- name: lock_studies
-- No study is made while a database is filled.
lock table studies in share row exclusive mode;

-- name: copy_in
-- The same, back.
copy {table} ({columns}) from stdin (format binary);

-- name: count_on
-- Numbers that the database gives out continue after the highest one.
select setval(pg_get_serial_sequence({name}, {column_name}), max({column})) from {table}
having max({column}) is not null;
