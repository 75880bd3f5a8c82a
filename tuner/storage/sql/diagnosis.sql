-- name: server
-- Who and where we are, and the server's clock.
select current_user, current_setting('server_version'),
       extract(epoch from clock_timestamp())::float8, pg_is_in_recovery(),
       has_database_privilege(current_database(), 'create');

-- name: ping
-- The round trip alone.
select 1;
