-- What operates a fleet: drained machines and devices, GPUs in use, priorities.

-- Rows stay as the record: a worker may not delete them.
create table tuner.drain (
    drain_id   bigint generated always as identity primary key,
    study_id   int references studies on delete cascade,  -- null: all studies of this database
    host       text not null,
    boot       text,                              -- null: every machine of this name
    device     text,                              -- "gpu:0"; null: the whole machine
    reason     text,
    drained_by text not null,                     -- user@host
    role       text not null default current_user,
    drained_at timestamptz not null default now(),
    lifted_by  text,
    lifted_at  timestamptz                        -- null: it holds
);
create index drain_held on tuner.drain (host) where lifted_at is null;

-- The agent that uses a GPU or a MIG slice: nobody's without an agent.
create table tuner.device (
    uuid     text primary key,
    agent_id uuid references tuner.agent on delete cascade,
    taken_at timestamptz not null default now()
) with (fillfactor = 60);
create index device_agent on tuner.device (agent_id);

-- Among the studies of a fleet: the higher one goes first.
alter table tuner.study add column priority int not null default 0;

-- Memory of the agent's largest device, and of the device on which a trial ran out of memory: it is
-- offered once to one with more.
alter table tuner.agent add column memory_bytes bigint;
alter table tuner.lease add column short_of_bytes bigint;
