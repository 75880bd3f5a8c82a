-- name: server
-- Who and where we are, and the server's clock.
select current_user, current_setting('server_version'),
       extract(epoch from clock_timestamp())::float8, pg_is_in_recovery(),
       (select ssl from pg_stat_ssl where pid = pg_backend_pid()), inet_server_addr() is null;

-- name: rights
-- What the role may do: make schemas, use ours, read and write Optuna's tables where they exist.
select has_database_privilege(current_database(), 'create'),
       case when to_regnamespace('tuner') is not null
            then has_schema_privilege('tuner', 'usage') end,
       case when to_regclass('trials') is not null
            then has_table_privilege('trials', 'select') end,
       case when to_regclass('trials') is not null
            then has_table_privilege('trials', 'insert, update') end,
       case when to_regclass('trials') is not null
            then has_table_privilege('trials', 'delete') end;

-- name: ping
-- The round trip alone.
select 1;
