-- name: find
-- The study of this name, with our part of it if there is one.
select s.study_id, t.spec, t.fingerprint, t.limit_trials, t.desired, t.desired_reason,
       t.created_at, t.code,
       (select a.value_json from study_user_attributes a
        where a.study_id = s.study_id and a.key = 'tuner:data_rows') as data_rows
from studies s left join tuner.study t using (study_id)
where s.study_name = %(name)s;

-- name: create
-- A study on Optuna's record and on ours; no row if another session has made it meanwhile. A second
-- creator of the name waits at the unique index, where only a role that may make studies can be.
with created as (
    insert into studies (study_name) values (%(name)s)
    on conflict (study_name) do nothing
    returning study_id
), directed as (
    insert into study_directions (study_id, direction, objective)
    select study_id, %(direction)s::studydirection, 0 from created
), described as (
    insert into study_user_attributes (study_id, key, value_json)
    select study_id, a.key, a.value
    from created, unnest(%(keys)s::text[], %(values)s::text[]) a(key, value)
)
insert into tuner.study (study_id, spec, fingerprint, metric, limit_trials, limit_steps,
                         limit_seconds, limit_device_seconds, target, n_draws, code, priority)
select study_id, %(spec)s::json, %(fingerprint)s, %(metric)s, %(limit_trials)s, %(limit_steps)s,
       %(limit_seconds)s, %(limit_device_seconds)s, %(target)s, %(n_draws)s,
       %(code)s::json, %(priority)s
from created
returning study_id, created_at;

-- name: start_clock
-- The time in which agents work on a study.
insert into tuner.clock (study_id) values (%(study_id)s);

-- name: enqueue
-- Trials to begin with, as Optuna's `enqueue_trial` writes them.
with made as (
    insert into trials (number, study_id, state)
    select place - 1, %(study_id)s, 'WAITING'
    from unnest(%(fixed)s::text[]) with ordinality x(fixed, place) order by place
    returning trial_id, number
)
insert into trial_system_attributes (trial_id, key, value_json)
select made.trial_id, 'fixed_params', x.fixed
from made join unnest(%(fixed)s::text[]) with ordinality x(fixed, place)
     on x.place = made.number + 1;
