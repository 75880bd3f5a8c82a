-- The first schema: who is working on what, beside Optuna's public record.
-- Optuna's tables are found by the search path, ours are in schema tuner.

create table tuner.study (
    study_id      int primary key references studies on delete cascade,
    spec          json not null,                 -- json keeps the order of the parameters
    fingerprint   text not null,                 -- of the data
    metric        text not null,                 -- the objective's name
    limit_trials  bigint not null,
    n_claimed     bigint not null default 0,     -- leases made; compared with the limit
    next_draw     bigint not null default 0,     -- what samplers and grids count
    n_agents      int not null default 0,        -- agents that ever joined
    created_at    timestamptz not null default now()
) with (fillfactor = 20);

create table tuner.agent (
    agent_id            uuid primary key,
    study_id            int not null references studies on delete cascade,
    ordinal             int not null,            -- the how-manyeth that joined, from 0
    host                text not null,
    boot                text not null,           -- boot id and pid namespace
    pid                 int not null,
    devices             text[] not null,
    beat                bigint not null default 0,
    joined_at           timestamptz not null default now(),
    seen_at             timestamptz not null default now(),  -- the database's clock: for people and take_free
    left_at             timestamptz,
    seconds_lived       float8 not null default 0,
    device_seconds_busy float8 not null default 0
) with (fillfactor = 20);
create index agent_study on tuner.agent (study_id);

create table tuner.checkpoint (
    checkpoint_id bigint generated always as identity primary key,
    study_id      int not null references studies on delete cascade,
    number        int not null,
    attempt       int not null,
    step          int not null,
    sha256        text not null,
    n_bytes       bigint not null,
    saved_at      timestamptz not null default now()
);
create index checkpoint_trial on tuner.checkpoint (study_id, number);

create table tuner.checkpoint_chunk (
    checkpoint_id bigint not null references tuner.checkpoint on delete cascade,
    part          int not null,
    content       bytea not null,
    primary key (checkpoint_id, part)
);
alter table tuner.checkpoint_chunk alter column content set storage external;  -- floats do not compress

create table tuner.lease (
    study_id      int not null references studies on delete cascade,
    number        int not null,
    trial_id      int not null unique references trials on delete cascade,
    draw          bigint,                         -- null: enqueued
    seed          bigint not null,
    state         text not null check (state in ('free', 'held', 'done')),
    attempt       int not null,                   -- plus one with every claim: the fencing token
    owner         uuid,
    failures      int not null default 0,
    losses        int not null default 0,
    failed_by     text,                           -- boot of the machine where it failed last
    failure       text,                           -- class of the failure that ended it
    reason        text,
    checkpoint_id bigint references tuner.checkpoint on delete set null,
    claimed_at    timestamptz not null default now(),
    ended_at      timestamptz,
    primary key (study_id, number),
    unique (study_id, draw)
) with (fillfactor = 60);
create index lease_free on tuner.lease (study_id, number) where state = 'free';
create index lease_held on tuner.lease (owner) where state = 'held';
create index lease_open on tuner.lease (study_id) where state <> 'done';
create index lease_checkpoint on tuner.lease (checkpoint_id);

-- What is reported beyond the objective.
create table tuner.metric (
    study_id int not null references studies on delete cascade,
    number   int not null,
    step     int not null,
    name     text not null,
    value    float8 not null,
    primary key (study_id, number, step, name)
);

-- The objective at the steps where the pruner compares. Readers follow xid, not time or a
-- sequence: both would miss a transaction that commits late.
create table tuner.rung (
    study_id int not null references studies on delete cascade,
    step     int not null,
    number   int not null,
    value    float8 not null,
    xid      xid8 not null default pg_current_xact_id(),
    primary key (study_id, step, number)
);
create index rung_xid on tuner.rung (study_id, xid);

-- What a model-based sampler had seen, so that its suggestion can be derived again.
create table tuner.suggestion (
    study_id     int not null references studies on delete cascade,
    number       int not null,
    seed         bigint not null,
    place        int not null,
    highest      int not null,
    open_numbers int[] not null,
    hidden       int[] not null,                  -- open ones that the model was not shown
    primary key (study_id, number)
);

create table tuner.decision (
    study_id int not null references studies on delete cascade,
    number   int not null,
    attempt  int not null,
    step     int not null,
    action   text not null,
    reason   text not null,
    seen     pg_snapshot not null,                -- rung values visible in it were known,
    local    int[] not null,                      -- and those of these trials
    at       timestamptz not null default now(),
    primary key (study_id, number, attempt, step)
);

-- The tail of what an attempt printed, and the traceback of its failure.
create table tuner.log (
    study_id  int not null references studies on delete cascade,
    number    int not null,
    attempt   int not null,
    message   text not null,
    traceback text not null,
    tail      text not null,
    at        timestamptz not null default now(),
    primary key (study_id, number, attempt)
);

create table tuner.event (
    event_id bigint generated always as identity primary key,
    at       timestamptz not null default clock_timestamp(),
    study_id int not null references studies on delete cascade,
    number   int,
    attempt  int,
    agent_id uuid,
    kind     text not null,
    detail   text
);
create index event_study on tuner.event (study_id, event_id);

-- On Optuna's own tables: what an agent writes while `optuna.delete_study` deletes row by row goes
-- with its trial. Without this the deletion fails on the foreign key, and Optuna keeps quiet about it.
alter table trials
    drop constraint if exists trials_study_id_fkey,
    add constraint trials_study_id_fkey
        foreign key (study_id) references studies on delete cascade;
alter table trial_params
    drop constraint if exists trial_params_trial_id_fkey,
    add constraint trial_params_trial_id_fkey
        foreign key (trial_id) references trials on delete cascade;
alter table trial_values
    drop constraint if exists trial_values_trial_id_fkey,
    add constraint trial_values_trial_id_fkey
        foreign key (trial_id) references trials on delete cascade;
alter table trial_intermediate_values
    drop constraint if exists trial_intermediate_values_trial_id_fkey,
    add constraint trial_intermediate_values_trial_id_fkey
        foreign key (trial_id) references trials on delete cascade;
alter table trial_user_attributes
    drop constraint if exists trial_user_attributes_trial_id_fkey,
    add constraint trial_user_attributes_trial_id_fkey
        foreign key (trial_id) references trials on delete cascade;
alter table trial_system_attributes
    drop constraint if exists trial_system_attributes_trial_id_fkey,
    add constraint trial_system_attributes_trial_id_fkey
        foreign key (trial_id) references trials on delete cascade;

-- Additive, on Optuna's own table: numbers stay distinct whoever writes, and waiting trials are
-- found without reading the others.
create unique index if not exists tuner_trials_number on trials (study_id, number);
create index if not exists tuner_trials_waiting on trials (study_id, trial_id) where state = 'WAITING';
