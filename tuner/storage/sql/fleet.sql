-- name: lock_drains
-- Commands that drain go one after the other, so that two of them do not take the last machines
-- of a study together. Heartbeats read on meanwhile.
with locked as materialized (
    select study_id from tuner.study
    where %(study_id)s::int is null or study_id = %(study_id)s::int
    order by study_id for no key update
)
select current_user::text from (select count(*) from locked) one;

-- name: machines
-- Agents of a study, or with null of all studies: those that are here, and the names of the others.
select a.agent_id, a.study_id, s.study_name, a.host, a.boot, a.pid, a.devices,
       a.left_at is null and a.seen_at > now() - make_interval(secs => coalesce(
           (t.spec -> 'failures' ->> 'lease_seconds')::float8, 30))
from tuner.agent a join tuner.study t using (study_id) join studies s using (study_id)
where %(study_id)s::int is null or a.study_id = %(study_id)s::int
order by s.study_name, a.ordinal;

-- name: held
-- The drains that hold for a study, or with null all that hold.
select drain_id, study_id, host, boot, device, reason, drained_by, role,
       extract(epoch from drained_at)
from tuner.drain
where lifted_at is null
  and (%(study_id)s::int is null or study_id is null or study_id = %(study_id)s::int)
order by drain_id;

-- name: drain
-- From the next heartbeats on.
insert into tuner.drain (study_id, host, boot, device, reason, drained_by)
values (%(study_id)s, %(host)s, %(boot)s, %(device)s, nullif(%(reason)s, ''), %(who)s)
returning drain_id;

-- name: lift
-- Agents may work there again.
update tuner.drain set lifted_by = %(who)s, lifted_at = now()
where drain_id = any(%(drain_ids)s::bigint[]) and lifted_at is null
returning drain_id;

-- name: work
-- The studies that run, the most important first: what an agent could claim in them now. Trials of
-- agents that are silent by the database's clock count, as an agent there will take them over.
with used as materialized (
    select s.study_id,
           s.limit_steps is not null and s.limit_steps <= (
               select coalesce(sum(p.n_steps), 0) from tuner.progress p
               where p.study_id = s.study_id) as is_up
    from tuner.study s where s.desired = 'running'
), waiting as materialized (
    select t.study_id, count(*) as n from trials t join used using (study_id)
    where t.state = 'WAITING' group by t.study_id
)
select s.study_id, n.study_name, s.priority, s.spec,
       case when used.is_up then 0 else least(
           greatest(coalesce(s.limit_trials, 1000000000) - s.n_claimed, 0),
           coalesce(w.n, 0) + coalesce(s.n_draws - s.next_draw, 1000000000)) end
       + (select count(*) from tuner.lease l
          left join tuner.agent a on a.agent_id = l.owner
          where l.study_id = s.study_id and l.state in ('free', 'held')
            and (l.state = 'free' or a.left_at is not null
                 or a.seen_at < now() - make_interval(secs => coalesce(
                     (s.spec -> 'failures' ->> 'lease_seconds')::float8, 30))))
from used join tuner.study s using (study_id) join studies n using (study_id)
left join waiting w using (study_id)
order by s.priority desc, s.study_id;

-- name: note
-- For the history of a study, or with null of all studies.
insert into tuner.event (study_id, kind, detail, device)
select study_id, %(kind)s, %(detail)s, %(device)s from tuner.study
where %(study_id)s::int is null or study_id = %(study_id)s::int;
