-- name: join
-- An agent takes its place in the study.
with counted as (
    update tuner.study set n_agents = n_agents + 1 where study_id = %(study_id)s
    returning n_agents - 1 as ordinal
)
insert into tuner.agent (agent_id, study_id, ordinal, host, boot, pid, devices)
select %(me)s, %(study_id)s, ordinal, %(host)s, %(boot)s, %(pid)s, %(devices)s from counted
on conflict (agent_id) do update set left_at = null
returning ordinal;

-- name: beat
-- Say "alive": one row of one's own. The answer: the beats of the others that hold trials.
with me as (
    update tuner.agent
    set beat = beat + 1, seen_at = now(), seconds_lived = %(seconds_lived)s,
        device_seconds_busy = %(device_seconds_busy)s
    where agent_id = %(me)s
    returning study_id
)
select coalesce((select json_agg(json_build_object(
                    'agent_id', a.agent_id, 'beat', a.beat, 'host', a.host,
                    'boot', a.boot, 'pid', a.pid))
                 from tuner.agent a
                 where a.study_id = me.study_id and a.agent_id <> %(me)s
                   and exists (select from tuner.lease l
                               where l.owner = a.agent_id and l.state = 'held')), '[]'::json)
from me;

-- name: leave
-- A clean goodbye.
update tuner.agent set left_at = now(), seen_at = now(), seconds_lived = %(seconds_lived)s,
       device_seconds_busy = %(device_seconds_busy)s
where agent_id = %(me)s;
