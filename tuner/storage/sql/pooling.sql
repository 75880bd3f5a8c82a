-- name: settle
-- Whether we talk to the server itself, which then keeps our settings for this session. A pooler
-- gives out process ids of its own, and may give the session to another client.
select pg_backend_pid() = %(pid)s,
       (select count(set_config(x.name, x.value, false))
        from unnest(%(names)s::text[], %(values)s::text[]) x(name, value)
        where pg_backend_pid() = %(pid)s);

-- name: keep
-- The same settings, for a session that is ours although a pooler lies in between.
select set_config(x.name, x.value, false)
from unnest(%(names)s::text[], %(values)s::text[]) x(name, value);

-- name: standing
-- Who and where we are at the server, and which of these settings a new session does not have by
-- itself.
select current_user::text, current_database()::text,
       array(select name::text from pg_settings
             where name = any(%(names)s) and reset_val in ('', '0') order by name);

-- name: limit
-- A role's sessions in this database have these limits by themselves, whatever pooler opens them.
alter role {role} in database {database} set {name} = {value};

-- name: unlimit
-- The same, taken back.
alter role {role} in database {database} reset {name};
