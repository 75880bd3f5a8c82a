-- name: fence_ends
-- Lock the leases that I end. One that is done already by me and this attempt counts as success:
-- the answer was lost.
select l.number, l.attempt, l.trial_id, l.state = 'held' as is_held
from tuner.lease l
join unnest(%(numbers)s::int[], %(attempts)s::int[]) x(number, attempt) using (number, attempt)
where l.study_id = %(study_id)s and l.owner = %(me)s and l.state in ('held', 'done')
order by l.number
for update of l;

-- name: finish
-- The end of trials: state and value on the public record, the lease done. Someone may have ended
-- the trial with an Optuna client: then that stands, and the reason says so.
with ended as (
    select * from unnest(%(numbers)s::int[], %(trial_ids)s::int[], %(states)s::trialstate[],
                         %(values)s::float8[], %(reasons)s::text[], %(failures)s::text[],
                         %(last_steps)s::int[])
         e(number, trial_id, state, value, reason, failure, last_step)
), told as (
    update trials t set state = e.state, datetime_complete = now() at time zone 'utc'
    from ended e where t.trial_id = e.trial_id and t.state = 'RUNNING'
    returning t.trial_id
), trimmed as (  -- steps of an earlier attempt that came further than the one that counts
    delete from trial_intermediate_values v using ended e
    where v.trial_id = e.trial_id and v.step > e.last_step
), trimmed_metrics as (
    delete from tuner.metric m using ended e
    where m.study_id = %(study_id)s and m.number = e.number and m.step > e.last_step
), valued as (
    insert into trial_values (trial_id, objective, value, value_type)
    select e.trial_id, 0, e.value, 'FINITE' from ended e join told using (trial_id)
    where e.value is not null
    on conflict (trial_id, objective) do nothing
), described as (
    insert into trial_user_attributes (trial_id, key, value_json)
    select a.trial_id, a.key, a.value
    from unnest(%(a_trial_ids)s::int[], %(a_keys)s::text[], %(a_values)s::text[])
         a(trial_id, key, value)
    join told using (trial_id)
    on conflict (trial_id, key) do update set value_json = excluded.value_json
), noted as (
    insert into tuner.event (study_id, number, attempt, agent_id, kind, detail)
    select %(study_id)s, l.number, l.attempt, %(me)s,
           case when told.trial_id is null then 'ended_elsewhere' else lower(e.state::text) end,
           e.reason
    from ended e
    join tuner.lease l on l.study_id = %(study_id)s and l.number = e.number
    left join told on told.trial_id = e.trial_id
)
update tuner.lease l
set state = 'done', ended_at = now(), checkpoint_id = null, failure = e.failure,
    reason = case when told.trial_id is null then 'ended by somebody else' else e.reason end,
    failures = l.failures + (e.failure is not null)::int
from ended e left join told using (trial_id)
where l.study_id = %(study_id)s and l.number = e.number;

-- name: drop_checkpoints
-- Training state of trials that have ended.
delete from tuner.checkpoint where study_id = %(study_id)s and number = any(%(numbers)s::int[]);

-- name: release
-- Attempts whose trials go on elsewhere or later. On the public record the trial stays RUNNING, so
-- that no other Optuna client takes it.
with freed as (
    update tuner.lease l
    set state = 'free', owner = null, reason = r.reason,
        failures = l.failures + r.failed, losses = l.losses + r.lost,
        failed_by = case when r.failed + r.lost > 0 then %(boot)s else l.failed_by end
    from unnest(%(numbers)s::int[], %(reasons)s::text[], %(failed)s::int[], %(lost)s::int[])
         r(number, reason, failed, lost)
    where l.study_id = %(study_id)s and l.number = r.number
    returning l.number, l.attempt, l.reason
)
insert into tuner.event (study_id, number, attempt, agent_id, kind, detail)
select %(study_id)s, number, attempt, %(me)s, 'released', reason from freed;

-- name: write_log
-- What a failed attempt printed.
insert into tuner.log (study_id, number, attempt, message, traceback, tail)
values (%(study_id)s, %(number)s, %(attempt)s, %(message)s, %(traceback)s, %(tail)s)
on conflict (study_id, number, attempt) do nothing;
