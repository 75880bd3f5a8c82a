-- name: studies
-- All studies that tuner made, newest first.
select s.study_id, s.study_name, d.direction::text, t.metric, t.limit_trials, t.created_at, t.spec
from studies s
join tuner.study t using (study_id)
join study_directions d on d.study_id = s.study_id and d.objective = 0
where s.study_name = coalesce(:name, s.study_name)
order by t.created_at desc, s.study_id desc;

-- name: names
-- For "did you mean".
select s.study_name from studies s join tuner.study t using (study_id) order by 1;

-- name: counts
-- Where the time went: trials, steps and seconds of training by state. A trial that was handed back
-- is RUNNING on Optuna's record; here it is told apart as FREE.
select case when t.state = 'RUNNING' and l.state = 'free' then 'FREE' else t.state::text end,
       count(*), coalesce(sum(v.n_steps), 0), coalesce(sum(m.seconds), 0)
from trials t
left join tuner.lease l on l.trial_id = t.trial_id
left join lateral (select count(*) as n_steps from trial_intermediate_values i
                   where i.trial_id = t.trial_id) v on true
left join lateral (select sum(value) as seconds from tuner.metric x
                   where x.study_id = t.study_id and x.number = t.number
                     and x.name = 'seconds') m on true
where t.study_id = :study_id
group by 1;

-- name: pruned_steps
-- How far the pruned trials came.
select coalesce(sum(greatest(0, :n_steps - n)), 0) from (
    select count(i.trial_id) as n from trials t
    left join trial_intermediate_values i on i.trial_id = t.trial_id
    where t.study_id = :study_id and t.state = 'PRUNED' group by t.trial_id) x;

-- name: span
-- From the first start to the last end, in seconds.
select extract(epoch from max(datetime_complete) - min(datetime_start))::float8
from trials where study_id = :study_id;

-- name: best
-- The best finite value; ties go to the lower number.
select t.number
from trials t join trial_values v on v.trial_id = t.trial_id and v.objective = 0
where t.study_id = :study_id and t.state = 'COMPLETE' and v.value_type = 'FINITE'
order by case when :minimize then v.value else -v.value end, t.number
limit 1;

-- name: trials
-- Trials with all that a table shows; one of them with :number.
select t.number,
       case when t.state = 'RUNNING' and l.state = 'free' then 'FREE' else t.state::text end,
       v.value,
       (select array_agg(p.param_name order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       (select array_agg(p.param_value order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       (select array_agg(p.distribution_json order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id),
       (select count(*) from trial_intermediate_values i where i.trial_id = t.trial_id),
       t.datetime_start, t.datetime_complete, coalesce(l.attempt, 0), l.reason, l.failure, a.host,
       (select array_agg(u.key order by u.key) from trial_user_attributes u
        where u.trial_id = t.trial_id),
       (select array_agg(u.value_json order by u.key) from trial_user_attributes u
        where u.trial_id = t.trial_id)  -- as text: Optuna writes NaN, which is no JSON
from trials t
left join tuner.lease l on l.trial_id = t.trial_id
left join tuner.agent a on a.agent_id = l.owner
left join trial_values v on v.trial_id = t.trial_id and v.objective = 0
where t.study_id = :study_id and t.number = coalesce(:number, t.number)
order by t.number;

-- name: agents
-- The fleet. An agent that has said nothing for the lease time may be lost; only other agents judge
-- that, by their own clocks.
select a.host, a.pid, a.devices, a.joined_at, a.left_at,
       extract(epoch from now() - a.seen_at)::float8, a.seconds_lived, a.device_seconds_busy,
       (select array_agg(l.number order by l.number) from tuner.lease l
        where l.owner = a.agent_id and l.state = 'held')
from tuner.agent a where a.study_id = :study_id order by a.ordinal;

-- name: failures
-- FAIL trials by reason, most frequent first.
select coalesce(l.reason, 'ended by another program'), count(*)
from trials t left join tuner.lease l on l.trial_id = t.trial_id
where t.study_id = :study_id and t.state = 'FAIL'
group by 1 order by 2 desc, 1;
