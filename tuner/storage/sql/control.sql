-- name: lock_study
-- The study's row, locked after Optuna's own (claim.sql, lock_numbers): new claims wait, so that
-- limits and numbers stay as they are read here.
select desired, desired_reason, limit_trials, limit_steps, limit_seconds, limit_device_seconds,
       target, n_draws, n_claimed, next_draw
from tuner.study where study_id = %(study_id)s for no key update;

-- name: last_values
-- The finite values of the COMPLETE trials that ended last, in the order of their ends, and the number
-- of all COMPLETE trials. Values are looked up for the last ones alone.
select (select coalesce(array_agg(v.value order by x.datetime_complete, x.number), '{}')
        from (select t.trial_id, t.number, t.datetime_complete from trials t
              where t.study_id = %(study_id)s and t.state = 'COMPLETE'
              order by t.datetime_complete desc, t.number desc limit %(n)s) x
        join trial_values v on v.trial_id = x.trial_id and v.objective = 0
        where v.value_type = 'FINITE'),
       (select count(*) from trials t where t.study_id = %(study_id)s and t.state = 'COMPLETE');

-- name: used
-- What is used of each limit, and the best finite value of a COMPLETE trial.
select (select count(*) from trials t where t.study_id = %(study_id)s and t.state = 'WAITING'),
       exists (select from tuner.lease l where l.study_id = %(study_id)s and l.state <> 'done'),
       (select coalesce(sum(n_steps), 0) from tuner.progress p where p.study_id = %(study_id)s),
       (select coalesce(max(c.seconds), 0) from tuner.clock c where c.study_id = %(study_id)s),
       (select coalesce(sum(a.device_seconds_busy), 0) from tuner.agent a
        where a.study_id = %(study_id)s),
       (select case when %(minimize)s then min(v.value) else max(v.value) end
        from trials t join trial_values v on v.trial_id = t.trial_id and v.objective = 0
        where t.study_id = %(study_id)s and t.state = 'COMPLETE' and v.value_type = 'FINITE');

-- name: desire
-- What the agents shall do from their next beat on.
update tuner.study
set desired = %(desired)s, desired_reason = %(reason)s, desired_at = now(),
    n_failed_in_a_row = 0, longest_failed_seconds = 0
where study_id = %(study_id)s;

-- name: prioritize
-- Among the studies of a fleet; the answer is the priority before.
with before as (select priority from tuner.study where study_id = %(study_id)s for no key update)
update tuner.study s set priority = %(priority)s from before
where s.study_id = %(study_id)s
returning before.priority;

-- name: note
-- For the study's history.
insert into tuner.event (study_id, kind, detail) values (%(study_id)s, %(kind)s, %(detail)s);

-- name: lock_lease
-- One trial's lease: every transaction that ends or takes it locks it first.
select 1 from tuner.lease where study_id = %(study_id)s and number = %(number)s for update;

-- name: end_here
-- Open trials end here, PRUNED with their last report as Optuna's own rule has it: the one of this
-- number whichever agent holds it, or with null all that no living agent holds. Silent by the database's
-- clock for the lease time counts as gone, as in claim.sql. An agent that held one meets the fence
-- with its next report, learns that it lost the trial, and drops it: the lease loses its owner, so
-- that this end is not taken for the agent's own; the history keeps whose it was, and where. What is
-- locked is just being taken or ended by another transaction.
with mine as materialized (
    select l.number, l.trial_id, l.attempt, l.owner, l.device as last_device
    from tuner.lease l left join tuner.agent a on a.agent_id = l.owner
    where l.study_id = %(study_id)s and l.state in ('free', 'held')
      and case when %(number)s::int is not null then l.number = %(number)s::int
               else l.state = 'free' or a.agent_id is null or a.left_at is not null
                    or a.seen_at < now() - make_interval(secs => %(lease_seconds)s) end
    order by l.number
    for update of l skip locked
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
    where kind <> 'NAN'
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
    reason = case when told.trial_id is null then 'ended by an Optuna client' else %(reason)s end
from last join placed p using (number) left join told using (trial_id)
where l.study_id = %(study_id)s and l.number = last.number
returning l.number;

-- name: state
-- State of a trial, to explain why it cannot be stopped.
select t.state::text from trials t where t.study_id = %(study_id)s and t.number = %(number)s;

-- name: still_held
-- What living agents hold, by host.
select a.host, array_agg(l.number order by l.number)
from tuner.lease l join tuner.agent a on a.agent_id = l.owner
where l.study_id = %(study_id)s and l.state = 'held'
group by a.host order by a.host;

-- name: living_agents
-- Agents that have not left and sent a heartbeat within the lease time.
select host, pid from tuner.agent
where study_id = %(study_id)s and left_at is null
  and seen_at > now() - make_interval(secs => %(lease_seconds)s)
order by ordinal;

-- name: limits
-- The limits, all at once.
update tuner.study
set limit_trials = %(trials)s, limit_steps = %(steps)s, limit_seconds = %(seconds)s,
    limit_device_seconds = %(device_seconds)s, target = %(target)s
where study_id = %(study_id)s;

-- name: to_retry
-- The trials of these numbers, or with null every FAIL trial that has no retry yet. With each: its
-- params, its draw, the number of a retry that is not final. Asked before the lock is taken.
with retry as materialized (
    select e.retry_of, r.number, r.state
    from tuner.enqueued e join trials r on r.trial_id = e.trial_id
    where e.study_id = %(study_id)s and e.retry_of is not null
    union all
    select x.retry_of, r.number, r.state
    from tuner.lease x join trials r on r.trial_id = x.trial_id
    where x.study_id = %(study_id)s and x.retry_of is not null
), retried as materialized (
    select retry_of, max(number) filter (where state in ('WAITING', 'RUNNING')) as open_retry
    from retry group by retry_of
), wanted as materialized (
    select t.trial_id, t.number, t.state, retried.open_retry
    from trials t left join retried on retried.retry_of = t.number
    where t.study_id = %(study_id)s
      and (t.number = any(%(numbers)s::int[])
           or %(numbers)s::int[] is null and t.state = 'FAIL' and retried.retry_of is null)
)
select t.number, t.state::text, l.draw,
       (select array_agg(p.param_name order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       (select array_agg(p.param_value order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       (select array_agg(p.distribution_json order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       t.open_retry
from wanted t left join tuner.lease l on l.trial_id = t.trial_id
order by t.number;

-- name: retried
-- Which of these trials have a retry by now, and the number of one that is not final. Asked under
-- the lock: another command may have been quicker.
select x.retry_of, max(r.number) filter (where r.state in ('WAITING', 'RUNNING'))
from (select e.retry_of, e.trial_id from tuner.enqueued e
      where e.study_id = %(study_id)s and e.retry_of = any(%(numbers)s::int[])
      union all
      select l.retry_of, l.trial_id from tuner.lease l
      where l.study_id = %(study_id)s and l.retry_of = any(%(numbers)s::int[])) x
join trials r on r.trial_id = x.trial_id
group by x.retry_of;

-- name: insert_waiting
-- Trials for the next claims, exactly as Optuna's `enqueue_trial` leaves them, in order of number.
with added as (
    insert into trials (number, study_id, state)
    select w.number, %(study_id)s, 'WAITING'
    from unnest(%(numbers)s::int[]) w(number) order by w.number
    returning trial_id, number
), fixed as (
    insert into trial_system_attributes (trial_id, key, value_json)
    select added.trial_id, 'fixed_params', f.value
    from added join unnest(%(numbers)s::int[], %(fixed)s::text[]) f(number, value) using (number)
), described as (
    insert into trial_user_attributes (trial_id, key, value_json)
    select added.trial_id, 'retry_of', r.retry_of::text
    from added join unnest(%(numbers)s::int[], %(retries)s::int[]) r(number, retry_of)
         using (number)
    where r.retry_of is not null
)
insert into tuner.enqueued (trial_id, study_id, draw, retry_of)
select added.trial_id, %(study_id)s, e.draw, e.retry_of
from added join unnest(%(numbers)s::int[], %(draws)s::bigint[], %(retries)s::int[])
     e(number, draw, retry_of) using (number);

-- name: raise_limit
-- A retry takes nothing from the budget.
update tuner.study set limit_trials = limit_trials + %(n_trials)s
where study_id = %(study_id)s;

-- name: lock_whole
-- Before a study is deleted: no other transaction gives out numbers or claims meanwhile.
select 1 from studies where study_id = %(study_id)s for update;

-- name: take_time
-- Deleting many trials takes longer than a statement may otherwise.
set local statement_timeout = '30min';

-- name: delete
-- Everything of a study. Ours and Optuna's rows of trials go by cascade, the others are named.
with heartbeats as (
    delete from trial_heartbeats where trial_id in
        (select trial_id from trials where study_id = %(study_id)s)
), directions as (
    delete from study_directions where study_id = %(study_id)s
), described as (
    delete from study_user_attributes where study_id = %(study_id)s
), marked as (
    delete from study_system_attributes where study_id = %(study_id)s
)
delete from studies where study_id = %(study_id)s;
