-- name: lock_versions
-- One session at a time changes the schema. Only a role that may change or delete rows of this
-- table can take the lock: readers, workers and strangers cannot.
lock table tuner.migration in share row exclusive mode;

-- name: holders
-- The transactions of others that hold locks on tables of the two schemas, the longest first. What
-- other roles do is only shown to an administrator.
select l.virtualtransaction, l.pid, max(a.usename)::text, max(a.application_name), max(a.state),
       extract(epoch from now() - max(a.xact_start))::float8, max(a.query)
from pg_locks l left join pg_stat_activity a on a.pid = l.pid
where l.granted and l.locktype = 'relation'
  and l.database = (select oid from pg_database where datname = current_database())
  and l.pid is distinct from pg_backend_pid()
  and l.relation in (
      select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'tuner'
         or c.oid = any(select to_regclass(name)::oid from unnest(%(optuna_tables)s) name))
group by l.virtualtransaction, l.pid
order by 6 desc nulls last, 2;
