-- name: lock_numbers
-- Wait for Optuna clients that are giving out a number. A statement of its own and the first, so
-- that the next statement's snapshot is newer than theirs.
select t.desired from studies s join tuner.study t using (study_id)
where s.study_id = %(study_id)s for key share of s;

-- name: adopt
-- Trials that are mine although I do not know it: the answer to an earlier claim was lost.
select l.number, l.attempt, 'adopted' as origin
from tuner.lease l
where l.owner = %(me)s and l.state = 'held' and l.study_id = %(study_id)s
  and not exists (
      select from unnest(%(known_numbers)s::int[], %(known_attempts)s::int[]) k(number, attempt)
      where k.number = l.number and k.attempt = l.attempt)
order by l.number
limit %(limit)s;

-- name: take_over
-- Trials of agents that I have seen silent, if they still are: compare-and-swap on the beat. Both
-- rows are locked, else a beat slips in between. The last loss that is borne ends the trial.
with lost as materialized (
    select l.number, l.losses + 1 >= %(max_losses)s as is_over
    from unnest(%(silent_agents)s::uuid[], %(silent_beats)s::bigint[]) s(agent_id, beat)
    join tuner.agent a using (agent_id)
    join tuner.lease l on l.owner = a.agent_id and l.state = 'held' and l.study_id = %(study_id)s
    where a.beat = s.beat
    order by l.number
    limit %(limit)s
    for update of l skip locked for share of a skip locked
), moved as (
    update tuner.lease l
    set attempt = case when is_over then l.attempt else l.attempt + 1 end,
        losses = l.losses + 1,
        owner = case when is_over then null else %(me)s::uuid end,
        state = case when is_over then 'done' else 'held' end,
        failure = case when is_over then 'agent_lost' end,
        n_steps = case when is_over then coalesce((
            select max(v.step) from trial_intermediate_values v
            where v.trial_id = l.trial_id), 0) else 0 end,
        reason = case when is_over then 'quarantined: lost ' || (l.losses + 1) || ' times' end,
        checkpoint_id = case when is_over then null else l.checkpoint_id end,
        claimed_at = now(),
        ended_at = case when is_over then now() end
    from lost
    where l.study_id = %(study_id)s and l.number = lost.number
    returning l.number, l.attempt, l.trial_id, l.reason, l.failure, lost.is_over
), failed as (
    update trials t set state = 'FAIL', datetime_complete = now() at time zone 'utc'
    from moved where moved.is_over and t.trial_id = moved.trial_id and t.state = 'RUNNING'
    returning t.trial_id
), said as (
    insert into trial_user_attributes (trial_id, key, value_json)
    select trial_id, a.key, to_json(a.value)::text
    from moved join failed using (trial_id),
         lateral (values ('reason', moved.reason), ('failure', moved.failure)) a(key, value)
    on conflict (trial_id, key) do update set value_json = excluded.value_json
), dropped as (
    delete from tuner.checkpoint c using moved
    where moved.is_over and c.study_id = %(study_id)s and c.number = moved.number
), noted as (
    insert into tuner.event (study_id, number, attempt, agent_id, kind)
    select %(study_id)s, number, attempt, %(me)s,
           case when is_over then 'quarantined' else 'taken_over' end
    from moved
)
select number, attempt, 'taken_over' as origin from moved where not is_over order by number;

-- name: take_free
-- Released trials. One that failed on this machine is left to others while others live, and one that
-- ran out of memory to those with more memory than there was.
with free as materialized (
    select number from tuner.lease l
    where study_id = %(study_id)s and state = 'free'
      and (failed_by is distinct from %(boot)s or not exists (
          select from tuner.agent a
          where a.study_id = %(study_id)s and a.boot <> %(boot)s and a.left_at is null
            and a.seen_at > now() - make_interval(secs => %(lease_seconds)s)))
      and (coalesce(short_of_bytes, 0) <= %(memory_bytes)s - 1 or not exists (
          select from tuner.agent a
          where a.study_id = %(study_id)s and a.memory_bytes > l.short_of_bytes
            and a.left_at is null
            and a.seen_at > now() - make_interval(secs => %(lease_seconds)s)
            and a.telemetry ->> 'state' is distinct from 'drained'))
    order by number
    limit %(limit)s
    for update skip locked
)
update tuner.lease l
set state = 'held', attempt = l.attempt + 1, owner = %(me)s, claimed_at = now()
from free
where l.study_id = %(study_id)s and l.number = free.number
returning l.number, l.attempt, 'released' as origin;

-- name: close
-- The study is stopping: trials that no agent holds, or that an agent holds which I have seen silent,
-- end without a worker. The value of a pruned trial is its last report (Optuna's rule).
with silent as materialized (
    select a.agent_id
    from unnest(%(silent_agents)s::uuid[], %(silent_beats)s::bigint[]) s(agent_id, beat)
    join tuner.agent a using (agent_id)
    where a.beat = s.beat
    for share of a skip locked
), open as materialized (
    select l.number, l.trial_id, v.step, v.intermediate_value as value
    from tuner.lease l
    left join lateral (
        select step, intermediate_value from trial_intermediate_values x
        where x.trial_id = l.trial_id and x.intermediate_value_type = 'FINITE'
        order by step desc limit 1) v on true
    where l.study_id = %(study_id)s
      and (l.state = 'free' or (l.state = 'held' and l.owner in (select agent_id from silent)))
    order by l.number
    for update of l skip locked
), closed as (
    update tuner.lease l
    set state = 'done', owner = null,  -- whose end comes late is told that it lost the trial
        ended_at = now(), checkpoint_id = null, n_steps = coalesce(open.step, 0),
        reason = case when s.desired_reason like 'stopped%%' then s.desired_reason
                 else 'stopped: ' || coalesce(s.desired_reason, 'the study ended') end
    from open, tuner.study s
    where l.study_id = %(study_id)s and l.number = open.number and s.study_id = l.study_id
    returning l.number, l.attempt, l.trial_id, l.reason, open.value
), told as (
    update trials t set state = 'PRUNED', datetime_complete = now() at time zone 'utc'
    from closed where t.trial_id = closed.trial_id and t.state = 'RUNNING'
    returning t.trial_id
), valued as (
    insert into trial_values (trial_id, objective, value, value_type)
    select trial_id, 0, closed.value, 'FINITE' from closed join told using (trial_id)
    where closed.value is not null
    on conflict (trial_id, objective) do nothing
), said as (
    insert into trial_user_attributes (trial_id, key, value_json)
    select trial_id, 'reason', to_json(closed.reason)::text from closed join told using (trial_id)
    on conflict (trial_id, key) do update set value_json = excluded.value_json
), dropped as (
    delete from tuner.checkpoint c using closed
    where c.study_id = %(study_id)s and c.number = closed.number
)
insert into tuner.event (study_id, number, attempt, agent_id, kind, detail)
select %(study_id)s, number, attempt, %(me)s, 'pruned', reason from closed;

-- name: lock_budget
-- How much may still be claimed: trials of any kind, and draws (a grid has so many cells).
-- Serialises new claims of all agents until the commit. Steps are counted only where they are
-- limited.
select case
           when limit_steps is null then coalesce(limit_trials, 1000000000) - n_claimed
           when limit_steps <= (
               select coalesce(sum(n_steps), 0) from tuner.progress p
               where p.study_id = s.study_id) then 0
           else coalesce(limit_trials, 1000000000) - n_claimed
       end as n_left,
       next_draw, coalesce(n_draws - next_draw, 1000000000) as n_draws_left
from tuner.study s where study_id = %(study_id)s for no key update;

-- name: take_waiting
-- Enqueued trials, oldest first.
with waiting as materialized (
    select trial_id from trials
    where study_id = %(study_id)s and state = 'WAITING'
    order by trial_id
    limit %(limit)s
    for update skip locked
), started as (
    update trials t set state = 'RUNNING', datetime_start = now() at time zone 'utc'
    from waiting where t.trial_id = waiting.trial_id
    returning t.trial_id, t.number
)
select started.trial_id, started.number, a.value_json, e.draw, e.retry_of
from started
left join trial_system_attributes a on a.trial_id = started.trial_id and a.key = 'fixed_params'
left join tuner.enqueued e on e.trial_id = started.trial_id
order by started.number;

-- name: next_number
-- Numbers are Optuna's: the highest of the study plus one.
select coalesce(max(number) + 1, 0) from trials where study_id = %(study_id)s;

-- name: insert_trials
-- New trials of new draws, in order of their numbers.
insert into trials (number, study_id, state, datetime_start)
select number, %(study_id)s, 'RUNNING', now() at time zone 'utc'
from unnest(%(numbers)s::int[]) number
order by number
returning trial_id;

-- name: insert_leases
-- First leases: of new draws, and of enqueued trials (no draw).
insert into tuner.lease (study_id, number, trial_id, draw, seed, state, attempt, owner, retry_of)
select %(study_id)s, number, trial_id, draw, seed, 'held', 1, %(me)s, retry_of
from unnest(%(numbers)s::int[], %(trial_ids)s::int[], %(draws)s::bigint[], %(seeds)s::bigint[],
            %(retries_of)s::int[])
     x(number, trial_id, draw, seed, retry_of);

-- name: insert_params
-- Params in their order: Optuna reads them by param_id.
insert into trial_params (trial_id, param_name, param_value, distribution_json)
select trial_id, name, value, distribution
from unnest(%(trial_ids)s::int[], %(names)s::text[], %(values)s::float8[], %(distributions)s::text[])
     with ordinality x(trial_id, name, value, distribution, place)
order by place
on conflict (trial_id, param_name) do nothing;

-- name: insert_suggestion
-- What the sampler had seen.
insert into tuner.suggestion
    (study_id, number, seed, place, highest, open_numbers, hidden, open_rungs, suggested_by)
values (%(study_id)s, %(number)s, %(seed)s, %(place)s, %(highest)s, %(open_numbers)s::int[],
        %(hidden)s::int[], %(open_rungs)s::int[], %(suggested_by)s);

-- name: count_claims
-- The budget that was used, and the draws.
update tuner.study
set n_claimed = n_claimed + %(n_claimed)s, next_draw = next_draw + %(n_draws)s
where study_id = %(study_id)s;

-- name: refuse_waiting
-- An enqueued trial whose params do not fit the search space ends at once.
with ended as (
    update trials set state = 'FAIL', datetime_complete = now() at time zone 'utc'
    where trial_id = %(trial_id)s returning trial_id
), said as (
    insert into trial_user_attributes (trial_id, key, value_json)
    select trial_id, 'reason', to_json(%(reason)s::text)::text from ended
    on conflict (trial_id, key) do update set value_json = excluded.value_json
)
insert into tuner.lease
    (study_id, number, trial_id, seed, state, attempt, owner, failure, reason, ended_at)
values (%(study_id)s, %(number)s, %(trial_id)s, 0, 'done', 1, %(me)s, 'exception', %(reason)s, now());

-- name: held
-- Everything about trials that I now hold, to start them.
select l.number, l.attempt, l.draw, l.seed, l.failures, l.losses,
       c.checkpoint_id, c.step, c.sha256, c.n_bytes,
       (select array_agg(p.param_name order by p.param_id) from trial_params p
        where p.trial_id = l.trial_id) as names,
       (select array_agg(p.param_value order by p.param_id) from trial_params p
        where p.trial_id = l.trial_id) as values,
       (select array_agg(p.distribution_json order by p.param_id) from trial_params p
        where p.trial_id = l.trial_id) as distributions,
       (select array_agg(v.step order by v.step) from trial_intermediate_values v
        where v.trial_id = l.trial_id and v.step <= c.step) as steps,
       (select array_agg(v.intermediate_value order by v.step) from trial_intermediate_values v
        where v.trial_id = l.trial_id and v.step <= c.step) as step_values,
       l.seconds,
       exists (select from tuner.log g  -- the attempt before this one left the message of its failure
               where g.study_id = l.study_id and g.number = l.number and g.attempt = l.attempt - 1
                 and g.message <> ''),
       l.short_of_bytes
from tuner.lease l
left join tuner.checkpoint c using (checkpoint_id)
where l.study_id = %(study_id)s and l.number = any(%(numbers)s::int[])
order by l.number;

-- name: note_claims
-- For the study's history.
insert into tuner.event (study_id, number, attempt, agent_id, kind)
select %(study_id)s, number, attempt, %(me)s, 'claimed'
from unnest(%(numbers)s::int[], %(attempts)s::int[]) x(number, attempt);

-- name: fared_better
-- Which of these trials, whose attempts failed on this machine, came further on another one: they
-- ended well there, or reported a later step.
select l.number
from unnest(%(numbers)s::int[], %(attempts)s::int[], %(steps)s::int[]) f(number, attempt, step)
join tuner.lease l on l.study_id = %(study_id)s and l.number = f.number and l.attempt > f.attempt
join tuner.agent a on a.agent_id = l.owner and a.boot <> %(boot)s
join trials t on t.trial_id = l.trial_id
where t.state in ('COMPLETE', 'PRUNED')
   or l.state = 'held' and exists (
          select from trial_intermediate_values v
          where v.trial_id = l.trial_id and v.step > f.step);

-- name: count_open
-- Trials that agents still have to end, and whether nothing new will be started. Waiting ones
-- count as far as the limit lets them start; a study that is stopping starts none.
with used as materialized (
    select case when s.desired = 'stopping' then true
                when s.limit_steps is null then false
                else s.limit_steps <= (
                    select coalesce(sum(n_steps), 0) from tuner.progress p
                    where p.study_id = s.study_id)
           end as is_up
    from tuner.study s where s.study_id = %(study_id)s
), waiting as materialized (
    select count(*) as n from trials t where t.study_id = %(study_id)s and t.state = 'WAITING'
)
select (select count(*) from tuner.lease l where l.study_id = s.study_id and l.state <> 'done')
     + case when used.is_up then 0 else
           least(greatest(coalesce(s.limit_trials, 1000000000) - s.n_claimed, 0), waiting.n) end,
       used.is_up or s.n_claimed >= coalesce(s.limit_trials, 1000000000)
       or (s.next_draw >= coalesce(s.n_draws, 1000000000) and waiting.n = 0),
       case when s.desired = 'stopping' then s.desired_reason end
from tuner.study s, used, waiting
where s.study_id = %(study_id)s;
