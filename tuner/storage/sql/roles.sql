-- name: standing
-- Who I am, who owns both schemas, where Optuna's tables are, and the kind of the named role.
select current_user::text, current_database()::text, n.nspname::text,
       pg_get_userbyid(t.relowner)::text,
       pg_has_role(t.relowner, 'usage') and pg_has_role(s.relowner, 'usage'),
       r.oid is not null, coalesce(r.rolcanlogin, false), coalesce(r.rolsuper, false),
       r.oid is not null and pg_has_role(r.oid, t.relowner, 'member')
from pg_class s join pg_namespace n on n.oid = s.relnamespace
join pg_class t on t.oid = 'tuner.study'::regclass
left join pg_roles r on r.rolname = %(role)s
where s.oid = 'studies'::regclass;

-- name: role_names
-- For "did you mean".
select rolname::text from pg_roles where rolname !~ '^pg_' order by 1;

-- name: rights
-- What the current role may do with each table of the two schemas that exists, by the catalogue:
-- a role without any right can ask this. The owner may change a table.
select case when n.nspname = 'tuner' then 'tuner.' || c.relname else c.relname end,
       pg_has_role(c.relowner, 'usage'),
       has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'),
       has_table_privilege(c.oid, 'insert'), has_table_privilege(c.oid, 'update'),
       has_table_privilege(c.oid, 'delete')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r'
  and (n.nspname = 'tuner'
       or c.relname = any(%(optuna_tables)s) and n.nspname = any(current_schemas(false)))
order by n.nspname, c.relname;

-- name: sequences
-- Sequences of Optuna's tables: inserting rows draws numbers from them.
select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_depend d on d.objid = c.oid and d.deptype = 'a'
join pg_class t on t.oid = d.refobjid
where c.relkind = 'S' and n.nspname = %(schema)s and t.relname = any(%(optuna_tables)s)
order by 1;

-- name: can_make_tables
-- Whether a role may make schemas or tables in this database beyond what it was granted here.
select has_database_privilege(%(role)s, current_database(), 'create'),
       has_schema_privilege(%(role)s, %(schema)s, 'create');

-- name: revoke_ours
-- First everything is taken back, so that a grant also lowers what a role may do.
revoke all on all tables in schema tuner from {role};

-- name: revoke_optuna
-- Optuna's tables, by name: others of the same schema belong to other programs.
revoke all on {tables} from {role};

-- name: revoke_sequences
-- The numbers of their rows.
revoke all on sequence {sequences} from {role};

-- name: revoke_schema
-- Without this a role cannot even name our tables.
revoke all on schema tuner from {role};

-- name: revoke_later
-- Tables that a later version of tuner will make.
alter default privileges for role {owner} in schema tuner revoke all on tables from {role};

-- name: connect
-- Where the studies are.
grant connect on database {database} to {role};

-- name: use_schemas
-- The two schemas can be looked into.
grant usage on schema {schema}, tuner to {role};

-- name: read_ours
-- A reader and a worker see everything of ours.
grant select on all tables in schema tuner to {role};

-- name: read_optuna
-- A reader and a worker see the whole public record.
grant select on {tables} to {role};

-- name: read_later
-- Tables that a later version of tuner will make.
alter default privileges for role {owner} in schema tuner grant select on tables to {role};

-- name: write_ours
-- A worker makes studies, claims trials and writes their results.
grant insert, update on all tables in schema tuner to {role};

-- name: keep_versions
-- Only the owner sets the version of the schema and the identity of the database.
revoke insert, update on tuner.migration, tuner.identity from {role};

-- name: write_optuna
-- The public record; its version is left out.
grant insert, update on {written} to {role};

-- name: count_up
-- The numbers of the rows that it inserts.
grant usage on sequence {sequences} to {role};

-- name: trim
-- What running deletes: checkpoints that a newer one replaces, and steps beyond an attempt's end.
grant delete on {trimmed} to {role};

-- name: write_later
-- Tables that a later version of tuner will make.
alter default privileges for role {owner} in schema tuner
grant insert, update on tables to {role};

-- name: limits
-- Whether a role has these settings in this database already; no row otherwise.
select 1 from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
join pg_roles r on r.oid = s.setrole
where d.datname = current_database() and r.rolname = %(role)s
  and (select count(*) from unnest(s.setconfig) x
       where split_part(x, '=', 1) = any(%(names)s)) = cardinality(%(names)s);

-- name: find_role
-- Whether a role exists.
select 1 from pg_roles where rolname = %(role)s;

-- name: make_role
-- A role that logs in with a password; the server gets its verifier alone.
create role {role} login password {password};

-- name: set_password
-- The same for a role that exists.
alter role {role} login password {password};
