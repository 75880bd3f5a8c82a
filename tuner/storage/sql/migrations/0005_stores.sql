-- Checkpoints in a store outside the database.

-- Relative to the store that the study file of a machine names. Null: the content is in
-- tuner.checkpoint_chunk.
alter table tuner.checkpoint add column object_key text;

-- One row: what keys begin with. A backup leaves it out, so a restored database has another one: it
-- reads the objects of the first database and never deletes them.
create table tuner.identity (
    is_only     boolean primary key default true check (is_only),
    database_id uuid not null default gen_random_uuid()
);
insert into tuner.identity default values;

-- Roles that were made workers before got the right to write to all later tables.
do $$
declare role name;
begin
    for role in
        select distinct r.rolname from pg_class c, aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
        where c.oid = 'tuner.identity'::regclass and a.grantee <> c.relowner
    loop
        execute format('revoke insert, update on tuner.identity from %I', role);
    end loop;
end $$;
