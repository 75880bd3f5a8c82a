-- name: end_one
-- One open trial ends here, PRUNED with its last report as Optuna's own rule has it, whoever holds
-- it: its agent meets the fence with the next report, is told that it lost the trial, and drops it.
-- The lease loses its owner, so that this end is not taken for one of the agent's own; the history
-- keeps whose it was, and where.
with mine as materialized (
    select l.number, l.trial_id, l.attempt, l.owner, l.device as last_device
    from tuner.lease l
    where l.study_id = %(study_id)s and l.number = %(number)s and l.state in ('free', 'held')
    for update of l
), last as materialized (
    select m.*, v.step, v.intermediate_value as value, v.intermediate_value_type::text as kind
    from mine m left join lateral (
        select * from trial_intermediate_values i where i.trial_id = m.trial_id
        order by i.step desc limit 1) v on true
), placed as materialized (
    select m.number, m.owner, coalesce((
        select min(d ->> 'device') from tuner.agent a
        cross join json_array_elements(case json_typeof(a.telemetry -> 'devices')
            when 'array' then a.telemetry -> 'devices' else '[]' end) d
        cross join json_array_elements_text(case json_typeof(d -> 'trials')
            when 'array' then d -> 'trials' else '[]' end) n
        where a.agent_id = m.owner and n = m.number::text), m.last_device) as device
    from mine m
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
    insert into tuner.event (study_id, number, attempt, agent_id, kind, detail, device)
    select %(study_id)s, number, attempt, p.owner,
           case when told.trial_id is null then 'ended_elsewhere' else 'pruned' end, %(reason)s,
           p.device
    from mine join placed p using (number) left join told using (trial_id)
)
update tuner.lease l
set state = 'done', owner = null, ended_at = now(), checkpoint_id = null,
    n_steps = coalesce(last.step, 0), device = p.device,
    reason = case when told.trial_id is null then 'ended by somebody else' else %(reason)s end
from last join placed p using (number) left join told using (trial_id)
where l.study_id = %(study_id)s and l.number = last.number
returning l.number;

-- name: state
-- What a trial is, to say why it cannot be stopped.
select t.state::text from trials t where t.study_id = %(study_id)s and t.number = %(number)s;
