-- name: report
-- Intermediate values, rung values, metrics and decisions of trials that continue. The fence comes
-- first: the lease rows, locked, of attempts that are still mine; missing ones are lost.
-- (A condition in a WHERE clause alone lets a stopped process write between check and insert.)
with fenced as materialized (
    select l.number, l.trial_id, l.attempt, coalesce(l.draw, l.number) as place
    from tuner.lease l
    join unnest(%(numbers)s::int[], %(attempts)s::int[]) x(number, attempt) using (number, attempt)
    where l.study_id = %(study_id)s and l.owner = %(me)s and l.state = 'held'
    order by l.number
    for share of l
), reported as materialized (
    select f.trial_id, r.step, r.value, r.kind
    from unnest(%(r_numbers)s::int[], %(r_attempts)s::int[], %(r_steps)s::int[],
                %(r_values)s::float8[], %(r_kinds)s::text[])
         r(number, attempt, step, value, kind)
    join fenced f using (number, attempt)
), written as (
    insert into trial_intermediate_values as v
        (trial_id, step, intermediate_value, intermediate_value_type)
    select trial_id, step, value, kind::trialintermediatevaluetype from reported order by 1, 2
    on conflict (trial_id, step) do update
    set intermediate_value = excluded.intermediate_value,
        intermediate_value_type = excluded.intermediate_value_type
    where (v.intermediate_value, v.intermediate_value_type)
          is distinct from (excluded.intermediate_value, excluded.intermediate_value_type)
), compared as (
    insert into tuner.rung (study_id, step, number, value, place, is_complete)
    select %(study_id)s, g.step, f.number, g.value, f.place, g.is_complete
    from unnest(%(g_numbers)s::int[], %(g_attempts)s::int[], %(g_steps)s::int[],
                %(g_values)s::float8[], %(g_complete)s::bool[])
         g(number, attempt, step, value, is_complete)
    join fenced f using (number, attempt)
    order by 2, 3, 6
    on conflict (study_id, step, number, is_complete) do nothing
), measured as (
    insert into tuner.metric as m (study_id, number, step, name, value)
    select %(study_id)s, f.number, x.step, x.name, x.value
    from unnest(%(m_numbers)s::int[], %(m_attempts)s::int[], %(m_steps)s::int[],
                %(m_names)s::text[], %(m_values)s::float8[]) x(number, attempt, step, name, value)
    join fenced f using (number, attempt)
    order by 2, 3, 4
    on conflict (study_id, number, step, name) do update set value = excluded.value
    where m.value is distinct from excluded.value
), printed as (
    insert into tuner.log (study_id, number, attempt, message, traceback, tail, n_bytes)
    select %(study_id)s, f.number, f.attempt, '', '', p.tail, p.n_bytes
    from unnest(%(p_numbers)s::int[], %(p_attempts)s::int[], %(p_tails)s::text[],
                %(p_bytes)s::bigint[]) p(number, attempt, tail, n_bytes)
    join fenced f using (number, attempt)
    on conflict (study_id, number, attempt) do update
    set tail = excluded.tail, n_bytes = excluded.n_bytes, at = now()
), decided as (
    insert into tuner.decision
        (study_id, number, attempt, step, action, reason, seen, local, local_complete)
    select %(study_id)s, f.number, f.attempt, d.step, d.action, d.reason, d.seen::pg_snapshot,
           d.local::int[], d.complete::int[]
    from unnest(%(d_numbers)s::int[], %(d_attempts)s::int[], %(d_steps)s::int[],
                %(d_actions)s::text[], %(d_reasons)s::text[], %(d_seen)s::text[],
                %(d_local)s::text[], %(d_complete)s::text[])
         d(number, attempt, step, action, reason, seen, local, complete)
    join fenced f using (number, attempt)
    on conflict (study_id, number, attempt, step) do nothing
)
select number, attempt from fenced;

-- name: note_code
-- The files that an attempt of mine runs, if they are not its agent's; once, if the answer was lost.
insert into tuner.event (study_id, number, attempt, agent_id, kind, detail)
select %(study_id)s, l.number, l.attempt, %(me)s, 'code', %(code)s
from tuner.lease l
where l.study_id = %(study_id)s and l.number = %(number)s and l.attempt = %(attempt)s
  and l.owner = %(me)s and l.state = 'held'
  and not exists (
      select 1 from tuner.event e
      where e.study_id = %(study_id)s and e.number = l.number and e.attempt = l.attempt
        and e.kind = 'code')
for share of l
returning 1;

-- name: insert_checkpoint
-- A checkpoint of a trial that is still mine; none otherwise. Same transaction as its report.
insert into tuner.checkpoint (study_id, number, attempt, step, sha256, n_bytes, object_key)
select %(study_id)s, l.number, l.attempt, %(step)s, %(sha256)s, %(n_bytes)s, %(object_key)s
from tuner.lease l
where l.study_id = %(study_id)s and l.number = %(number)s and l.attempt = %(attempt)s
  and l.owner = %(me)s and l.state = 'held'
for share of l
returning checkpoint_id;

-- name: insert_chunk
-- One part of a checkpoint's content.
insert into tuner.checkpoint_chunk (checkpoint_id, part, content)
values (%(checkpoint_id)s, %(part)s, %(content)s);

-- name: point_to_checkpoint
-- The next attempt continues from here. Those before stay for the case that it is damaged, up to the
-- number that is kept. The rows: objects in a store that no row names any more. (Two rows name the
-- same object if the answer to a commit was lost.)
with pointed as (
    update tuner.lease set checkpoint_id = %(checkpoint_id)s
    where study_id = %(study_id)s and number = %(number)s
), removed as (
    delete from tuner.checkpoint
    where study_id = %(study_id)s and number = %(number)s and checkpoint_id not in (
        select checkpoint_id from tuner.checkpoint
        where study_id = %(study_id)s and number = %(number)s
        order by checkpoint_id desc limit %(keep)s)
    returning checkpoint_id, object_key
)
select r.object_key from removed r
where r.object_key is not null and not exists (
    select 1 from tuner.checkpoint c
    where c.study_id = %(study_id)s and c.number = %(number)s and c.object_key = r.object_key
      and c.checkpoint_id not in (select checkpoint_id from removed));

-- name: checkpoints
-- The registered checkpoints of a trial, newest first.
select checkpoint_id, step, sha256, n_bytes, object_key from tuner.checkpoint
where study_id = %(study_id)s and number = %(number)s order by checkpoint_id desc;

-- name: read_checkpoint
-- The next parts of a checkpoint's content in order.
select content from tuner.checkpoint_chunk
where checkpoint_id = %(checkpoint_id)s
  and part >= %(first)s and part < %(first)s + %(n_parts)s order by part;
