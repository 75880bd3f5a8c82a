-- name: join
-- An agent takes its place in the study.
with counted as (
    update tuner.study set n_agents = n_agents + 1 where study_id = %(study_id)s
    returning n_agents - 1 as ordinal
)
insert into tuner.agent (agent_id, study_id, ordinal, host, boot, pid, devices, code, about,
                         memory_bytes)
select %(me)s, %(study_id)s, ordinal, %(host)s, %(boot)s, %(pid)s, %(devices)s, %(code)s::json,
       %(about)s::json, %(memory_bytes)s
from counted
on conflict (agent_id) do update set left_at = null
returning ordinal;

-- name: beat
-- Heartbeat: one row of the agent's own. The clock advances by what this agent vouches for; an agent
-- that finds it locked leaves it alone. The answer: the study's desired state, the use of its
-- limits, the beats of the others that hold trials, what of this machine is drained, and the memory
-- of the largest device of the others.
with me as (
    update tuner.agent
    set beat = beat + 1, seen_at = now(), seconds_lived = %(seconds_lived)s,
        device_seconds_busy = %(device_seconds_busy)s, telemetry = %(screen)s::json
    where agent_id = %(me)s
    returning study_id, host, boot
), due as (
    select c.study_id from tuner.clock c join me using (study_id) for update of c skip locked
), ticked as (
    update tuner.clock c
    set ticked_at = now(),
        seconds = c.seconds + case when s.desired = 'paused' then 0 else greatest(0, least(
            extract(epoch from now() - c.ticked_at)::float8, %(vouched_seconds)s)) end
    from due join tuner.study s using (study_id)
    where c.study_id = due.study_id
    returning c.study_id, c.seconds
)
select s.desired, s.desired_reason, s.limit_trials, s.limit_steps, s.limit_seconds,
       s.limit_device_seconds,
       coalesce(t.seconds, c.seconds),  -- with this beat's own part, which c does not show yet
       case when s.limit_device_seconds is not null then %(device_seconds_busy)s + coalesce(
           (select sum(x.device_seconds_busy) from tuner.agent x
            where x.study_id = s.study_id and x.agent_id <> %(me)s), 0) end,
       coalesce((select json_agg(json_build_object(
                    'agent_id', a.agent_id, 'beat', a.beat, 'host', a.host,
                    'boot', a.boot, 'pid', a.pid))
                 from tuner.agent a
                 where a.study_id = s.study_id and a.agent_id <> %(me)s
                   and exists (select from tuner.lease l
                               where l.owner = a.agent_id and l.state = 'held')), '[]'::json),
       coalesce((select json_agg(json_build_array(
                    d.study_id, d.host, d.boot, d.device, d.reason, d.drained_by, d.role,
                    extract(epoch from d.drained_at)) order by d.drain_id)
                 from tuner.drain d
                 where d.lifted_at is null and d.host = me.host
                   and (d.boot is null or d.boot = me.boot)
                   and (d.study_id is null or d.study_id = me.study_id)), '[]'::json),
       (select max(a.memory_bytes) from tuner.agent a
        where a.study_id = s.study_id and a.agent_id <> %(me)s and a.left_at is null
          and a.seen_at > now() - make_interval(secs => %(lease_seconds)s)
          and a.telemetry ->> 'state' is distinct from 'drained')
from me join tuner.study s using (study_id) join tuner.clock c using (study_id)
left join ticked t using (study_id);

-- name: claimed
-- The trials that were claimed, and how many of them have not ended.
select s.n_claimed, (select count(*) from tuner.lease l
                     where l.study_id = s.study_id and l.state in ('free', 'held'))
from tuner.study s where s.study_id = %(study_id)s;

-- name: reach_limit
-- A limit is used up, or its rest is unlikely to help: the study is to stop, whichever agent reports
-- it first.
with stopped as (
    update tuner.study set desired = 'stopping', desired_reason = %(reason)s, desired_at = now()
    where study_id = %(study_id)s and desired = 'running'
      -- the limits that were seen: they may have been extended meanwhile
      and limit_trials is not distinct from %(limit_trials)s
      and limit_steps is not distinct from %(limit_steps)s
      and limit_seconds is not distinct from %(limit_seconds)s
      and limit_device_seconds is not distinct from %(limit_device_seconds)s
    returning study_id
)
insert into tuner.event (study_id, agent_id, kind, detail)
select study_id, %(me)s, 'limit_reached', %(reason)s from stopped
returning 1;

-- name: take_devices
-- The GPUs that I want to use: taken if no other agent has them, or if that one has left or was
-- silent for its lease time, or is known to be gone. The answer: mine, and for the others who has them.
with wanted as materialized (
    select distinct x as uuid from unnest(%(uuids)s::text[]) x order by x
), taken as (
    insert into tuner.device as d (uuid, agent_id)
    select uuid, %(me)s::uuid from wanted
    where uuid not in (select m.uuid from tuner.device m where m.agent_id = %(me)s::uuid)
    on conflict (uuid) do update set agent_id = excluded.agent_id, taken_at = now()
    where d.agent_id is null or d.agent_id = any(%(gone)s::uuid[]) or not exists (
        select from tuner.agent a join tuner.study t using (study_id)
        where a.agent_id = d.agent_id and a.left_at is null
          and a.seen_at > now() - make_interval(secs => coalesce(
              (t.spec -> 'failures' ->> 'lease_seconds')::float8, 30)))
    returning d.uuid
)
select w.uuid, t.uuid is not null or h.agent_id = %(me)s::uuid, a.agent_id, s.study_name, a.host,
       a.boot, a.pid
from wanted w left join taken t using (uuid)
left join tuner.device h on h.uuid = w.uuid
left join tuner.agent a on a.agent_id = h.agent_id left join studies s on s.study_id = a.study_id;

-- name: give_devices
-- GPUs that I do not use any more.
update tuner.device set agent_id = null
where agent_id = %(me)s and uuid = any(%(uuids)s::text[]);

-- name: leave
-- A clean goodbye.
with unused as (update tuner.device set agent_id = null where agent_id = %(me)s)
update tuner.agent set left_at = now(), seen_at = now(), seconds_lived = %(seconds_lived)s,
       device_seconds_busy = %(device_seconds_busy)s, telemetry = '{}'
where agent_id = %(me)s;

-- name: identity
-- What keys of objects begin with.
select database_id from tuner.identity;
