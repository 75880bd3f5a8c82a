-- What is shipped: the weights of the best trials, and what machine trained them.

-- Of COMPLETE trials, their best epoch's; the study file says of how many (`checkpoints.keep_best`).
create table tuner.weights (
    weights_id bigint generated always as identity primary key,
    study_id   int not null references studies on delete cascade,
    number     int not null,
    attempt    int not null,
    step       int not null,                      -- the epoch that they are of
    sha256     text not null,
    n_bytes    bigint not null,
    saved_at   timestamptz not null default now(),
    unique (study_id, number)
);

create table tuner.weights_chunk (
    weights_id bigint not null references tuner.weights on delete cascade,
    part       int not null,
    content    bytea not null,
    primary key (weights_id, part)
);
alter table tuner.weights_chunk alter column content set storage external;  -- floats do not compress

-- Of an agent: versions of packages, git commit, what its devices are. Null: an older version.
alter table tuner.agent add column about json;

-- Roles that were made workers before: of a new table they get all but the right to delete, and
-- weights of trials that are no longer among the best are deleted by whoever ends a better one.
do $$
declare role name;
begin
    for role in
        select distinct r.rolname from pg_class c, aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
        where c.oid = 'tuner.checkpoint'::regclass and a.privilege_type = 'DELETE'
          and a.grantee <> c.relowner
    loop
        execute format('grant delete on tuner.weights to %I', role);
    end loop;
end $$;
