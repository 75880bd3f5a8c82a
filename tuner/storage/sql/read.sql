-- name: studies
-- All studies that tuner made, newest first.
select s.study_id, s.study_name, d.direction::text, t.metric, t.created_at, t.spec,
       t.limit_trials, t.limit_steps, t.limit_seconds, t.limit_device_seconds, t.target, t.n_draws,
       t.n_claimed, t.desired, t.desired_reason, t.next_draw, t.code, t.fingerprint,
       t.priority
from studies s
join tuner.study t using (study_id)
join study_directions d on d.study_id = s.study_id and d.objective = 0
where s.study_name = coalesce(:name, s.study_name)
order by t.created_at desc, s.study_id desc;

-- name: names
-- For "did you mean".
select s.study_name from studies s join tuner.study t using (study_id) order by 1;

-- name: counts
-- Trials, steps and seconds on a device by state; steps repeated by another attempt count once, the
-- time they took counts. The seconds are those of attempts that have ended: how long a trial has been
-- held says nothing of what it used of a device that it shares. Two states that are RUNNING on Optuna's
-- record are derived: RELEASED trials wait for another attempt, ELSEWHERE are those that another
-- program began.
select case when t.state = 'RUNNING' and l.trial_id is null then 'ELSEWHERE'
            when t.state = 'RUNNING' and l.state = 'free' then 'RELEASED' else t.state::text end,
       count(*),
       coalesce(sum(coalesce(nullif(case when l.state = 'done' then l.n_steps end, 0),
           (select max(i.step) from trial_intermediate_values i
            where i.trial_id = t.trial_id), 0)), 0),
       coalesce(sum(l.seconds), 0)
from trials t left join tuner.lease l on l.trial_id = t.trial_id
where t.study_id = :study_id
group by 1;

-- name: open
-- How many trials agents still have to end, as `count_open` in claim.sql counts them.
select count(*) from tuner.lease l where l.study_id = :study_id and l.state in ('free', 'held');

-- name: span
-- The first start and the last end of a trial, in seconds since 1970.
select extract(epoch from min(datetime_start))::float8,
       extract(epoch from max(datetime_complete))::float8
from trials where study_id = :study_id;

-- name: best
-- The :n_trials best finite values, the best one first; ties go to the lower number.
select t.number
from trials t join trial_values v on v.trial_id = t.trial_id and v.objective = 0
where t.study_id = :study_id and t.state = 'COMPLETE' and v.value_type = 'FINITE'
order by case when :minimize then v.value else -v.value end, t.number
limit :n_trials;

-- name: trials
-- Trials with all that a table shows; some of them with :numbers.
select t.number,
       case when t.state = 'RUNNING' and l.state = 'free' then 'RELEASED' else t.state::text end,
       v.value,
       (select array_agg(p.param_name order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       (select array_agg(p.param_value order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       (select array_agg(p.distribution_json order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       coalesce(nullif(case when l.state = 'done' then l.n_steps end, 0),
           (select max(i.step) from trial_intermediate_values i
            where i.trial_id = t.trial_id), 0),
       t.datetime_start, t.datetime_complete, coalesce(l.attempt, 0),
       case when l.state <> 'held' then l.reason  -- of a trial that runs again it is stale
            when l.trial_id is null and t.state in ('COMPLETE', 'PRUNED', 'FAIL')
            then 'ended by an Optuna client' end,
       l.failure, a.host, l.device, coalesce(l.retry_of, e.retry_of),
       case when t.state = 'WAITING' then
           (select s.value_json from trial_system_attributes s
            where s.trial_id = t.trial_id and s.key = 'fixed_params') end,
       (select array_agg(u.key order by u.key) from trial_user_attributes u
        where u.trial_id = t.trial_id),
       (select array_agg(u.value_json order by u.key) from trial_user_attributes u
        where u.trial_id = t.trial_id),  -- as text: Optuna writes NaN, which is no JSON
       coalesce(l.seconds, 0)
from trials t
left join tuner.lease l on l.trial_id = t.trial_id
left join tuner.agent a on a.agent_id = l.owner
left join tuner.enqueued e on e.trial_id = t.trial_id
left join trial_values v on v.trial_id = t.trial_id and v.objective = 0
where t.study_id = :study_id
  and (cast(:numbers as int[]) is null or t.number = any(cast(:numbers as int[])))
order by t.number;

-- name: agents
-- The fleet. An agent without a heartbeat for the lease time may be lost; only other agents judge
-- that, by their own clocks.
select a.host, a.pid, a.devices, a.joined_at, a.left_at,
       extract(epoch from now() - a.seen_at)::float8, a.seconds_lived, a.device_seconds_busy,
       (select array_agg(l.number order by l.number) from tuner.lease l
        where l.owner = a.agent_id and l.state = 'held'), a.telemetry, a.seen_at
from tuner.agent a where a.study_id = :study_id order by a.ordinal;

-- name: failures
-- FAIL trials by reason, most frequent first; reasons that differ in numbers alone are one. With
-- each: its first reason, trials, and the host and device if all ended on one.
select (array_agg(reason order by number))[1], cause, count(*),
       array_agg(number order by number), min(host) filter (where host is not null),
       count(distinct host), min(device), count(distinct device)
from (
    select t.number, coalesce(l.reason, 'ended by an Optuna client') as reason, l.failure as cause,
           a.host, l.device
    from trials t
    left join tuner.lease l on l.trial_id = t.trial_id
    left join tuner.agent a on a.agent_id = l.owner
    where t.study_id = :study_id and t.state = 'FAIL') f
group by regexp_replace(reason, '[0-9]+([.][0-9]+)?', '0', 'g'), cause
order by 3 desc, 1;

-- name: shared_params
-- The params of FAIL trials of one kind: their range, and how many of the last thousand trials that
-- ended well lie in it.
with failed as materialized (
    select t.trial_id
    from trials t left join tuner.lease l on l.trial_id = t.trial_id
    where t.study_id = :study_id and t.state = 'FAIL'
      and regexp_replace(coalesce(l.reason, 'ended by an Optuna client'),
                         '[0-9]+([.][0-9]+)?', '0', 'g')
        = regexp_replace(:reason, '[0-9]+([.][0-9]+)?', '0', 'g')
), span as materialized (
    select p.param_name, min(p.param_value) as low, max(p.param_value) as high,
           max(p.distribution_json) as distribution, min(p.param_id) as place
    from failed join trial_params p using (trial_id)
    group by p.param_name having count(*) = (select count(*) from failed)
), good as materialized (
    select t.trial_id from trials t
    where t.study_id = :study_id and t.state in ('COMPLETE', 'PRUNED')
    order by t.number desc limit 1000
)
select s.param_name, s.low, s.high, s.distribution,
       count(*) filter (where p.param_value between s.low and s.high), count(p.param_value)
from span s left join (good join trial_params p using (trial_id)) using (param_name)
group by s.param_name, s.low, s.high, s.distribution, s.place order by s.place;

-- name: in_training
-- The trials that agents hold, with their latest report: fresher than the agents' telemetry.
select l.number, l.attempt, v.step, v.intermediate_value
from tuner.lease l left join lateral (
    select i.step, i.intermediate_value from trial_intermediate_values i
    where i.trial_id = l.trial_id order by i.step desc limit 1) v on true
where l.study_id = :study_id and l.state = 'held';

-- name: records
-- The trials that were the best when they completed, each with how many had completed before it.
select nth, number, value from (
    select row_number() over ended as nth, t.number, v.value,
           case when :minimize then min(v.value) over earlier
                else max(v.value) over earlier end as best_before
    from trials t join trial_values v on v.trial_id = t.trial_id and v.objective = 0
    where t.study_id = :study_id and t.state = 'COMPLETE' and v.value_type = 'FINITE'
    window ended as (order by t.datetime_complete, t.number),
           earlier as (order by t.datetime_complete, t.number
                       rows between unbounded preceding and 1 preceding)) x
where best_before is null or case when :minimize then value < best_before
                                  else value > best_before end
order by nth;

-- name: events
-- The newest part of the study's history, first claims left out: they are no news. A failed attempt
-- whose trial is tried again is recorded as released; its log has the message of the failure.
select e.event_id, e.at, e.number, e.attempt, a.host, e.device,
       case when e.kind = 'released' and exists (
           select from tuner.log g where g.study_id = e.study_id and g.number = e.number
             and g.attempt = e.attempt and g.message <> '') then 'attempt_failed' else e.kind end,
       e.detail,
       (select v.value from trials t join trial_values v using (trial_id)
        where t.study_id = e.study_id and t.number = e.number and v.objective = 0
          and e.kind in ('complete', 'pruned'))
from tuner.event e left join tuner.agent a on a.agent_id = e.agent_id
where e.study_id = :study_id and e.kind <> 'code' and (e.kind <> 'claimed' or e.attempt > 1)
order by e.event_id desc limit :n_events;

-- name: trial_events
-- What happened to a trial, in order, a failed attempt as in `events`; and the code that each ran.
select e.event_id, e.at, e.number, e.attempt, a.host, e.device,
       case when e.kind = 'released' and exists (
           select from tuner.log g where g.study_id = e.study_id and g.number = e.number
             and g.attempt = e.attempt and g.message <> '') then 'attempt_failed' else e.kind end,
       e.detail, null, coalesce(c.detail::json, a.code)
from tuner.event e left join tuner.agent a on a.agent_id = e.agent_id
left join tuner.event c on c.study_id = e.study_id and c.number = e.number
    and c.attempt = e.attempt and c.kind = 'code'
where e.study_id = :study_id and e.number = :number and e.kind <> 'code' order by e.event_id;

-- name: beside
-- With how many others each attempt of a trial shared its device, averaged over its time. The record
-- names the device of an attempt at its end; those of running ones are in their agents' telemetry.
with told as (
    select a.agent_id, d ->> 'device' as device, n::int as number
    from tuner.agent a
    cross join json_array_elements(case json_typeof(a.telemetry -> 'devices')
        when 'array' then a.telemetry -> 'devices' else '[]' end) d
    cross join json_array_elements_text(case json_typeof(d -> 'trials')
        when 'array' then d -> 'trials' else '[]' end) n
    where a.study_id = :study_id and a.left_at is null
), attempts as materialized (
    select e.number, e.attempt, (array_agg(e.agent_id order by e.event_id))[1] as agent_id,
           min(e.at) as began, max(e.at) filter (where e.device is not null) as ended,
           max(e.device) as device
    from tuner.event e
    where e.study_id = :study_id and e.number is not null and e.agent_id is not null
    group by e.number, e.attempt
), spans as materialized (
    select x.number, x.attempt, x.agent_id, x.began,
           coalesce(x.ended, clock_timestamp()) as ended, coalesce(x.device, t.device) as device
    from attempts x
    left join tuner.lease l on x.ended is null and l.study_id = :study_id and l.number = x.number
        and l.attempt = x.attempt and l.owner = x.agent_id and l.state = 'held'
    left join told t on t.agent_id = l.owner and t.number = x.number
    where coalesce(x.device, t.device) is not null
)
select mine.attempt, sum(extract(epoch from
           least(mine.ended, other.ended) - greatest(mine.began, other.began)))::float8
       / extract(epoch from mine.ended - mine.began)::float8
from spans mine join spans other on other.agent_id = mine.agent_id
    and other.device = mine.device and other.number <> mine.number
    and other.began < mine.ended and other.ended > mine.began
where mine.number = :number and mine.ended > mine.began
group by mine.attempt, mine.began, mine.ended;

-- name: curve
-- A trial's reported values by step, finite ones only.
select i.step, i.intermediate_value
from trial_intermediate_values i join trials t using (trial_id)
where t.study_id = :study_id and t.number = :number and i.intermediate_value_type = 'FINITE'
order by i.step;

-- name: decisions
-- The pruner's decisions on a trial.
select attempt, step, action, reason from tuner.decision
where study_id = :study_id and number = :number order by attempt, step;

-- name: logs
-- What the attempts of a trial printed, with the traceback of a failure.
select attempt, message, traceback, tail, n_bytes, at from tuner.log
where study_id = :study_id and number = :number order by attempt;

-- name: retries_of
-- The trials that try this one again.
select t.number, t.state::text
from trials t
left join tuner.lease l on l.trial_id = t.trial_id
left join tuner.enqueued e on e.trial_id = t.trial_id
where t.study_id = :study_id and coalesce(l.retry_of, e.retry_of) = :number order by 1;

-- name: trial_standing
-- Whether a trial is final, and its attempt.
select t.state::text, coalesce(l.attempt, 0)
from trials t left join tuner.lease l on l.trial_id = t.trial_id
where t.study_id = :study_id and t.number = :number;

-- name: top
-- The best finite values, best first; ties go to the lower number. Of trials with the same params
-- only the best one if :distinct is set.
with good as (
    select t.trial_id, t.number, v.value,
           case when :minimize then v.value else -v.value end as rank
    from trials t join trial_values v on v.trial_id = t.trial_id and v.objective = 0
    where t.study_id = :study_id and t.state = 'COMPLETE' and v.value_type = 'FINITE'
), params as (
    select g.number, g.value, g.rank,
           (select array_agg((p.param_name, p.param_value)::text order by p.param_name)
            from trial_params p where :distinct and p.trial_id = g.trial_id) as params
    from good g
), first as (
    select number, rank,
           row_number() over (partition by params order by rank, number) as place
    from params
)
select number from first where not :distinct or place = 1 order by rank, number limit :n_trials;

-- name: linked
-- The newest study that confirms the one of this name and birth: another one may have had its name.
select s.study_name from tuner.study t join studies s using (study_id)
where t.spec -> 'confirms' ->> 'study' = :name
  and t.spec -> 'confirms' ->> 'study_created_at' = :created_at
order by t.created_at desc, t.study_id desc limit 1;

-- name: values_of
-- What some trials came to; null for one without a value.
select t.number, v.value
from trials t left join trial_values v on v.trial_id = t.trial_id and v.objective = 0
where t.study_id = :study_id and t.number = any(cast(:numbers as int[]));

-- name: origin
-- Where a trial comes from: its seed and draw, and the code and device of the attempt that ended it.
select l.seed, l.draw, l.device, coalesce(c.detail::json, a.code), a.about
from tuner.lease l left join tuner.agent a on a.agent_id = l.owner
left join tuner.event c on c.study_id = l.study_id and c.number = l.number
    and c.attempt = l.attempt and c.kind = 'code'
where l.study_id = :study_id and l.number = :number;

-- name: weights
-- The trials whose weights are kept, the best first.
select w.number, w.weights_id, w.step, w.sha256, w.n_bytes
from tuner.weights w join trials t on t.study_id = w.study_id and t.number = w.number
join trial_values v on v.trial_id = t.trial_id and v.objective = 0
where w.study_id = :study_id
order by case when :minimize then v.value else -v.value end, w.number;

-- name: weights_content
-- Their content in order.
select content from tuner.weights_chunk where weights_id = :weights_id order by part;

-- name: metrics
-- A trial's metrics apart from the objective, by step and name.
select step, name, value from tuner.metric
where study_id = :study_id and number = :number order by step, name;

-- name: suggested_by
-- What the params of a trial come from; null if the record does not say it.
select case when l.number is null and t.state <> 'WAITING' then 'other'
            when l.draw is null then 'user'
            else s.suggested_by end
from trials t
left join tuner.lease l on l.trial_id = t.trial_id
left join tuner.suggestion s on s.study_id = t.study_id and s.number = t.number
where t.study_id = :study_id and t.number = :number;

-- name: basis
-- What the sampler had seen when it suggested a trial.
select seed, place, highest, open_numbers, hidden, open_rungs from tuner.suggestion
where study_id = :study_id and number = :number;

-- name: ping
-- The shortest statement: whether the database answers, and how fast.
select 1;
