-- Control from any terminal, limits beyond the number of trials, and what a live screen shows.

alter table tuner.study
    alter column limit_trials drop not null,       -- null: no such limit
    add column n_draws              bigint,        -- of a grid: its cells; null: no end
    add column desired              text not null default 'running'
        check (desired in ('running', 'paused', 'stopping')),
    add column desired_reason       text,          -- why it is paused or stopping, for people
    add column desired_at           timestamptz,
    add column limit_steps          bigint,        -- the other limits; null: none
    add column limit_seconds        float8,
    add column limit_device_seconds float8,
    add column target               float8;

-- The seconds in which at least one agent lived and the study was not paused. A row of its own, so
-- that a beat waits for nobody.
create table tuner.clock (
    study_id  int primary key references studies on delete cascade,
    seconds   float8 not null default 0,
    ticked_at timestamptz not null default now()
) with (fillfactor = 20);
insert into tuner.clock (study_id) select study_id from tuner.study;

alter table tuner.agent add column telemetry json not null default '{}';  -- what it does, for screens

alter table tuner.lease
    drop constraint lease_study_id_draw_key,
    add column retry_of int,                       -- the trial whose params and draw these are
    add column seconds  float8 not null default 0, -- of earlier attempts on a device
    add column n_steps  int not null default 0,    -- of an ended trial: its last step
    add column device   text;                      -- of the last attempt
create unique index lease_draw on tuner.lease (study_id, draw) where retry_of is null;
update tuner.lease l set n_steps = coalesce((select max(v.step) from trial_intermediate_values v
                                             where v.trial_id = l.trial_id), 0)
where l.state = 'done';

-- What we know of a waiting trial beyond Optuna's record.
create table tuner.enqueued (
    trial_id int primary key references trials on delete cascade,
    study_id int not null references studies on delete cascade,
    draw     bigint,
    retry_of int
);

-- Values of running trials at their rungs; and those of COMPLETE trials, with the final value as
-- step 0. `place` is what pruners count by: the draw, else the number.
alter table tuner.rung
    add column place       bigint,
    add column is_complete boolean not null default false,
    drop constraint rung_pkey,
    add primary key (study_id, step, number, is_complete);
update tuner.rung r set place = coalesce(l.draw, l.number)
from tuner.lease l where l.study_id = r.study_id and l.number = r.number;

alter table tuner.log add column n_bytes bigint not null default 0;  -- printed in all; `tail` is the end

alter table tuner.event add column device text;

-- Of a decision: trials whose values as COMPLETE ones were known besides, on this machine.
alter table tuner.decision add column local_complete int[] not null default '{}';

-- Retries are few: who is tried again is found without a look at the other trials.
create index enqueued_retry on tuner.enqueued (study_id, retry_of) where retry_of is not null;
create index lease_retry on tuner.lease (study_id, retry_of) where retry_of is not null;
