-- name: end_one
-- One open trial ends here, PRUNED with its last report as Optuna's own rule has it, whoever holds
-- it: its agent meets the fence with the next report, is told that it lost the trial, and drops it.
with mine as materialized (
    select l.number, l.trial_id, l.attempt
    from tuner.lease l
    where l.study_id = %(study_id)s and l.number = %(number)s and l.state in ('free', 'held')
    for update of l
), last as materialized (
    select m.*, v.step, v.intermediate_value as value, v.intermediate_value_type::text as kind
    from mine m left join lateral (
        select * from trial_intermediate_values i where i.trial_id = m.trial_id
        order by i.step desc limit 1) v on true
), told as (
    update trials t set state = 'PRUNED', datetime_complete = now() at time zone 'utc'
    from mine m where t.trial_id = m.trial_id and t.state = 'RUNNING'
    returning t.trial_id
), valued as (
    insert into trial_values (trial_id, objective, value, value_type)
    select trial_id, 0, value, kind::trialvaluetype from last join told using (trial_id)
    where kind = 'FINITE'
    on conflict (trial_id, objective) do nothing
), described as (
    insert into trial_user_attributes (trial_id, key, value_json)
    select trial_id, 'reason', to_json(%(reason)s::text)::text from told
    on conflict (trial_id, key) do update set value_json = excluded.value_json
), dropped as (
    delete from tuner.checkpoint c using mine m
    where c.study_id = %(study_id)s and c.number = m.number
), noted as (
    insert into tuner.event (study_id, number, attempt, kind, detail)
    select %(study_id)s, number, attempt,
           case when told.trial_id is null then 'ended_elsewhere' else 'pruned' end, %(reason)s
    from mine left join told using (trial_id)
)
update tuner.lease l
set state = 'done', owner = null, ended_at = now(), checkpoint_id = null,
    n_steps = coalesce(last.step, 0),
    reason = case when told.trial_id is null then 'ended by somebody else' else %(reason)s end
from last left join told using (trial_id)
where l.study_id = %(study_id)s and l.number = last.number
returning l.number;

-- name: state
-- What a trial is, to say why it cannot be stopped.
select t.state::text from trials t where t.study_id = %(study_id)s and t.number = %(number)s;
