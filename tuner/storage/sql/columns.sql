-- name: trials
-- Trials above a number and those of a list, as columns of text: one row however many there are.
-- States by place in `storage/reading/columns.STATES`; times in seconds since 1970; nan where nothing is.
select string_agg(x.number::text, ','), string_agg(x.state, ','),
       string_agg(coalesce(x.value::text, 'nan'), ','),
       string_agg(x.n_steps::text, ','), string_agg(coalesce(x.began::text, 'nan'), ','),
       string_agg(coalesce(x.ended::text, 'nan'), ','), string_agg(x.seconds::text, ','),
       string_agg(coalesce(x.agent::text, '-1'), ','),
       string_agg(translate(coalesce(x.device, ''), ',', ' '), ','),
       string_agg(x.attempt::text, ','),
       array_agg(x.number) filter (where x.state = '2'),
       array_agg(x.failure) filter (where x.state = '2'),
       array_agg(x.reason) filter (where x.state = '2'),
       array_agg(x.number) filter (where x.given is not null),
       array_agg(x.given) filter (where x.given is not null),
       string_agg(coalesce(x.started::text, 'nan'), ',')
from (
    select t.number, v.value, coalesce(l.seconds, 0)::float4 as seconds, a.ordinal as agent,
           l.device, coalesce(l.attempt, 0) as attempt, l.failure,
           left(coalesce(l.reason, 'ended by an Optuna client'), 500) as reason,
           case when t.state = 'COMPLETE' then '0' when t.state = 'PRUNED' then '1'
                when t.state = 'FAIL' then '2' when t.state = 'WAITING' then '5'
                when l.state = 'free' then '4' else '3' end as state,
           coalesce(nullif(case when l.state = 'done' then l.n_steps end, 0),
               (select max(i.step) from trial_intermediate_values i
                where i.trial_id = t.trial_id), 0) as n_steps,
           case when t.state = 'WAITING' then
               (select s.value_json from trial_system_attributes s
                where s.trial_id = t.trial_id and s.key = 'fixed_params') end as given,
           round(extract(epoch from coalesce(l.claimed_at,
               t.datetime_start at time zone 'utc'))::numeric, 2) as began,
           extract(epoch from t.datetime_start at time zone 'utc') as started,
           round(extract(epoch from coalesce(l.ended_at,
               t.datetime_complete at time zone 'utc'))::numeric, 2) as ended
    from trials t
    left join tuner.lease l on l.trial_id = t.trial_id
    left join tuner.agent a on a.agent_id = l.owner
    left join trial_values v on v.trial_id = t.trial_id and v.objective = 0
    where t.study_id = :study_id
      and (t.number > :highest or t.number = any(cast(:open as int[])))
    order by t.number) x;

-- name: params
-- Their params, a row for each: numbers and values as Optuna stores them.
select p.param_name, max(p.distribution_json), string_agg(t.number::text, ','),
       string_agg(p.param_value::text, ',')
from trials t join trial_params p using (trial_id)
where t.study_id = :study_id
  and (t.number > :highest or t.number = any(cast(:open as int[])))
group by p.param_name order by min(p.param_id);

-- name: curves
-- What trials reported: the first report, and the last one of each :stride steps. Some report
-- every step, some every hundredth: no rule on the step itself is fair to both.
select x.number, string_agg(x.step::text, ',' order by x.step),
       string_agg(x.value::text, ',' order by x.step)
from (
    select t.number, i.step, i.intermediate_value as value,
           lag(i.step) over reports as before, lead(i.step) over reports as after
    from trials t join trial_intermediate_values i using (trial_id)
    where t.study_id = :study_id and t.number = any(cast(:numbers as int[]))
      and i.intermediate_value_type = 'FINITE'
    window reports as (partition by t.number order by i.step)) x
where x.before is null or x.after is null or (x.step - 1) / :stride <> (x.after - 1) / :stride
group by x.number;

-- name: metrics
-- Metrics of trials apart from the objective.
select m.number, m.name, array_agg(m.step order by m.step), array_agg(m.value order by m.step)
from tuner.metric m
where m.study_id = :study_id and m.number = any(cast(:numbers as int[])) and m.name = :name
group by m.number, m.name;

-- name: metric_names
-- The names that trials reported.
select distinct name from tuner.metric
where study_id = :study_id and number = any(cast(:numbers as int[]));

-- name: early_attempts
-- Attempts that others followed: who had the trial, where, how long, and how it ended.
select e.number, e.attempt, (array_agg(a.ordinal order by e.event_id))[1],
       max(e.device), extract(epoch from min(e.at))::float8, extract(epoch from max(e.at))::float8,
       case when max(g.message) <> '' then 'fail'
            else (array_agg(e.kind order by e.event_id desc))[1] end
from tuner.lease l
join tuner.event e on e.study_id = l.study_id and e.number = l.number and e.attempt < l.attempt
left join tuner.agent a on a.agent_id = e.agent_id
left join tuner.log g on g.study_id = e.study_id and g.number = e.number and g.attempt = e.attempt
where l.study_id = :study_id and l.attempt > 1 and e.kind <> 'code'
group by e.number, e.attempt order by 5 desc limit 2000;

-- name: clock
-- The seconds in which the study was worked on, and the newest event.
select coalesce((select max(c.seconds) from tuner.clock c where c.study_id = :study_id), 0),
       coalesce((select max(e.event_id) from tuner.event e where e.study_id = :study_id), 0),
       extract(epoch from now())::float8;

-- name: overview_counts
-- All studies: trials by state, as in `read.sql`, and those that agents still have to end.
select t.study_id,
       case when t.state = 'RUNNING' and l.trial_id is null then 'ELSEWHERE'
            when t.state = 'RUNNING' and l.state = 'free' then 'RELEASED' else t.state::text end,
       count(*),
       coalesce(sum(coalesce(nullif(case when l.state = 'done' then l.n_steps end, 0),
           (select max(i.step) from trial_intermediate_values i
            where i.trial_id = t.trial_id), 0)), 0),
       coalesce(sum(l.seconds), 0), count(*) filter (where l.state <> 'done'),
       extract(epoch from min(t.datetime_start))::float8,
       extract(epoch from max(t.datetime_complete))::float8,
       extract(epoch from max(coalesce(l.ended_at, l.claimed_at)))::float8
from trials t left join tuner.lease l on l.trial_id = t.trial_id
join tuner.study s on s.study_id = t.study_id
group by 1, 2;

-- name: overview_records
-- All studies: the trials that were the best when they completed; of equal values, as
-- everywhere, the lower number is the best.
select study_id, number, value, nth from (
    select r.*, row_number() over ended as nth, min(r.rank) over earlier as best_before
    from (
        select t.study_id, t.number, v.value, t.datetime_complete,
               array[case when d.direction = 'MINIMIZE' then v.value else -v.value end,
                     t.number] as rank
        from trials t
        join tuner.study s on s.study_id = t.study_id
        join study_directions d on d.study_id = t.study_id and d.objective = 0
        join trial_values v on v.trial_id = t.trial_id and v.objective = 0
        where t.state = 'COMPLETE' and v.value_type = 'FINITE') r
    window ended as (partition by r.study_id order by r.datetime_complete, r.number),
           earlier as (partition by r.study_id order by r.datetime_complete, r.number
                       rows between unbounded preceding and 1 preceding)) x
where best_before is null or rank < best_before
order by study_id, nth;

-- name: overview_agents
-- The agents of all studies, as in `read.sql`, without the telemetry of those that have left.
select a.study_id, a.host, a.pid, a.devices, a.joined_at, a.left_at,
       extract(epoch from now() - a.seen_at)::float8, a.seconds_lived, a.device_seconds_busy,
       (select array_agg(l.number order by l.number) from tuner.lease l
        where l.owner = a.agent_id and l.state = 'held'),
       case when a.left_at is null then a.telemetry end, a.seen_at
from tuner.agent a order by a.study_id, a.ordinal;

-- name: overview_used
-- The steps of all studies, and the seconds in which an agent worked on them.
select s.study_id,
       (select coalesce(sum(p.n_steps), 0) from tuner.progress p where p.study_id = s.study_id),
       (select coalesce(max(c.seconds), 0) from tuner.clock c where c.study_id = s.study_id)
from tuner.study s;

-- name: checkpoints
-- A trial's registered checkpoints, newest first.
select c.step, c.attempt, c.n_bytes, c.saved_at
from tuner.checkpoint c where c.study_id = :study_id and c.number = :number
order by c.checkpoint_id desc limit 20;

-- name: last_metrics
-- A trial's last value of every metric apart from the objective.
select distinct on (m.name) m.name, m.step, m.value
from tuner.metric m where m.study_id = :study_id and m.number = :number
order by m.name, m.step desc;

-- name: notable
-- The newest events of these kinds, as in `read.sql`; of a busy study's last 20,000 events.
select e.event_id, e.at, e.number, e.attempt, a.host, e.device, e.kind, e.detail, null
from tuner.event e left join tuner.agent a on a.agent_id = e.agent_id
where e.study_id = :study_id and e.kind = any(cast(:kinds as text[]))
  and e.event_id > (select max(m.event_id) - 20000 from tuner.event m
                    where m.study_id = :study_id)
order by e.event_id desc limit :n_events;

-- name: text_field
-- One field of all trials that have it, which no column holds.
select x.number, x.found
from (
    select t.number, case cast(:field as text)
               when 'host' then a.host
               when 'device' then l.device
               when 'reason' then
                   case when l.state <> 'held' then l.reason
                        when l.trial_id is null and t.state in ('COMPLETE', 'PRUNED', 'FAIL')
                        then 'ended by an Optuna client' end
               when 'failure' then l.failure
               else coalesce(l.retry_of, e.retry_of)::text end as found
    from trials t
    left join tuner.lease l on l.trial_id = t.trial_id
    left join tuner.agent a on a.agent_id = l.owner
    left join tuner.enqueued e on e.trial_id = t.trial_id
    where t.study_id = :study_id) x
where x.found is not null;

-- name: attribute
-- One user attribute of all trials that have it, as text: Optuna writes NaN, which is no JSON.
select t.number, u.value_json
from trials t join trial_user_attributes u using (trial_id)
where t.study_id = :study_id and u.key = :key;

-- name: attribute_names
-- The user attributes that trials have.
select distinct u.key from trials t join trial_user_attributes u using (trial_id)
where t.study_id = :study_id order by 1;
