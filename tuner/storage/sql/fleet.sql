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

-- name: note
-- For the history of a study, or with null of all studies.
insert into tuner.event (study_id, kind, detail, device)
select study_id, %(kind)s, %(detail)s, %(device)s from tuner.study
where %(study_id)s::int is null or study_id = %(study_id)s::int;
