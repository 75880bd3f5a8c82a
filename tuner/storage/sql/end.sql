-- name: fence_ends
-- Lock the leases that I end. One that is done already by me and this attempt counts as success:
-- the answer was lost.
select l.number, l.attempt, l.trial_id, l.state = 'held' as is_held
from tuner.lease l
join unnest(%(numbers)s::int[], %(attempts)s::int[]) x(number, attempt) using (number, attempt)
where l.study_id = %(study_id)s and l.owner = %(me)s and l.state in ('held', 'done')
order by l.number
for update of l;

-- name: finish
-- The end of trials: state and value on the public record, the lease done. Someone may have ended
-- the trial with an Optuna client: then that stands, and the reason names it.
with ended as (
    select * from unnest(%(numbers)s::int[], %(trial_ids)s::int[], %(states)s::trialstate[],
                         %(values)s::float8[], %(reasons)s::text[], %(failures)s::text[],
                         %(last_steps)s::int[], %(devices)s::text[], %(seconds)s::float8[],
                         %(failed)s::int[], %(lost)s::int[])
         e(number, trial_id, state, value, reason, failure, last_step, device, seconds,
           failed, lost)
), told as (
    update trials t set state = e.state, datetime_complete = now() at time zone 'utc'
    from ended e where t.trial_id = e.trial_id and t.state = 'RUNNING'
    returning t.trial_id
), trimmed as (  -- steps of an earlier attempt that came further than the one that counts
    delete from trial_intermediate_values v using ended e
    where v.trial_id = e.trial_id and v.step > e.last_step
), trimmed_metrics as (
    delete from tuner.metric m using ended e
    where m.study_id = %(study_id)s and m.number = e.number and m.step > e.last_step
), valued as (
    insert into trial_values (trial_id, objective, value, value_type)
    select e.trial_id, 0, coalesce(e.value, v.value), 'FINITE'
    from ended e join told using (trial_id)
    left join lateral (  -- it never began here: its last report is an earlier attempt's
        select intermediate_value as value from trial_intermediate_values x
        where e.state = 'PRUNED' and e.value is null and x.trial_id = e.trial_id
          and x.intermediate_value_type = 'FINITE'
        order by step desc limit 1) v on true
    where coalesce(e.value, v.value) is not null
    on conflict (trial_id, objective) do nothing
), described as (
    insert into trial_user_attributes (trial_id, key, value_json)
    select a.trial_id, a.key, a.value
    from unnest(%(a_trial_ids)s::int[], %(a_keys)s::text[], %(a_values)s::text[])
         a(trial_id, key, value)
    join told using (trial_id)
    on conflict (trial_id, key) do update set value_json = excluded.value_json
), noted as (
    insert into tuner.event (study_id, number, attempt, agent_id, kind, detail, device)
    select %(study_id)s, l.number, l.attempt, %(me)s,
           case when told.trial_id is null then 'ended_elsewhere' else lower(e.state::text) end,
           e.reason, e.device
    from ended e
    join tuner.lease l on l.study_id = %(study_id)s and l.number = e.number
    left join told on told.trial_id = e.trial_id
)
update tuner.lease l
set state = 'done', ended_at = now(), checkpoint_id = null, failure = e.failure,
    reason = case when told.trial_id is null then 'ended by an Optuna client' else e.reason end,
    failures = l.failures + e.failed, losses = l.losses + e.lost,
    n_steps = coalesce(e.last_step, (select max(v.step) from trial_intermediate_values v
                                     where v.trial_id = l.trial_id), 0),
    seconds = l.seconds + e.seconds, device = e.device
from ended e left join told using (trial_id)
where l.study_id = %(study_id)s and l.number = e.number;

-- name: drop_checkpoints
-- Training state of trials that have ended.
delete from tuner.checkpoint where study_id = %(study_id)s and number = any(%(numbers)s::int[]);

-- name: release
-- Attempts whose trials continue elsewhere or later. On the public record the trial stays RUNNING, so
-- that no other Optuna client takes it.
with freed as (
    update tuner.lease l
    set state = 'free', owner = null, reason = r.reason,
        failures = l.failures + r.failed, losses = l.losses + r.lost,
        failed_by = case when r.failed + r.lost > 0 then %(boot)s else l.failed_by end,
        seconds = l.seconds + r.seconds, device = r.device,
        short_of_bytes = coalesce(r.short_of_bytes, l.short_of_bytes)
    from unnest(%(numbers)s::int[], %(reasons)s::text[], %(failed)s::int[], %(lost)s::int[],
                %(devices)s::text[], %(seconds)s::float8[], %(short_of_bytes)s::bigint[])
         r(number, reason, failed, lost, device, seconds, short_of_bytes)
    where l.study_id = %(study_id)s and l.number = r.number
    returning l.number, l.attempt, l.reason, l.device
)
insert into tuner.event (study_id, number, attempt, agent_id, kind, detail, device)
select %(study_id)s, number, attempt, %(me)s, 'released', reason, device from freed;

-- name: write_log
-- What an attempt printed, and how it failed if it did.
insert into tuner.log (study_id, number, attempt, message, traceback, tail, n_bytes)
values (%(study_id)s, %(number)s, %(attempt)s, %(message)s, %(traceback)s, %(tail)s, %(n_bytes)s)
on conflict (study_id, number, attempt) do update
set message = excluded.message, traceback = excluded.traceback, tail = excluded.tail,
    n_bytes = excluded.n_bytes, at = now();

-- name: reach_target
-- A COMPLETE value is as good as was asked for: the study is to stop.
with stopped as (
    update tuner.study s
    set desired = 'stopping', desired_at = now(),
        desired_reason = 'the target ' || s.target || ' is reached by trial ' || e.number
                         || ' (' || trim_scale(round(e.value::numeric, 6)) || ')'
    from (select number, value
          from unnest(%(numbers)s::int[], %(values)s::float8[]) x(number, value)) e
    where s.study_id = %(study_id)s and s.desired = 'running'
      and case when %(minimize)s then e.value <= s.target else e.value >= s.target end
    returning s.study_id, s.desired_reason
)
insert into tuner.event (study_id, agent_id, kind, detail)
select study_id, %(me)s, 'limit_reached', desired_reason from stopped;

-- name: forget_failures
-- A trial has ended well: failures from here on are a new row of them. Without any there is nothing
-- to write, and nothing is locked.
update tuner.study set n_failed_in_a_row = 0, longest_failed_seconds = 0
where study_id = %(study_id)s and n_failed_in_a_row > 0;

-- name: count_failures
-- Attempts that failed by their own fault, in a row over all machines. Params that diverge or need
-- too much memory are the business of the search, as soon as one trial has ended well. How long they
-- lasted is told by the clock, as `halt` asks it: of a shared device each used but a part.
update tuner.study s
set n_failed_in_a_row = n_failed_in_a_row + %(n)s + case when exists (
        select from trials t where t.study_id = s.study_id and t.state in ('COMPLETE', 'PRUNED'))
        then 0 else %(n_by_params)s end,
    longest_failed_seconds = greatest(longest_failed_seconds, (
        select max(extract(epoch from now() - l.claimed_at)) from tuner.lease l
        where l.study_id = s.study_id and l.number = any(%(numbers)s::int[])))
where s.study_id = %(study_id)s;

-- name: halt
-- Too many failures in a row: nothing is lost, everything is released. Not while a trial trains
-- for more than twice as long as these did: they are then the fate of some params, not of all. Nor
-- where nothing is left to do.
with halted as (
    update tuner.study s
    set desired = 'halted', desired_at = now(),
        desired_reason = s.n_failed_in_a_row || case when s.n_failed_in_a_row = 1
            then ' failure: ' else ' failures in a row, the last: ' end || %(last)s
    where s.study_id = %(study_id)s and s.desired = 'running'
      and s.n_failed_in_a_row >= %(stop_after)s
      and not exists (
          select from tuner.lease l
          where l.study_id = s.study_id and l.state = 'held'
            and now() - l.claimed_at > 2 * make_interval(secs => s.longest_failed_seconds))
      and (s.n_claimed < coalesce(s.limit_trials, 1000000000)
               and s.next_draw < coalesce(s.n_draws, 1000000000)
           or exists (select from tuner.lease l
                      where l.study_id = s.study_id and l.state <> 'done'))
    returning s.study_id, s.desired_reason
)
insert into tuner.event (study_id, agent_id, kind, detail)
select study_id, %(me)s, 'halted', desired_reason from halted;

-- name: insert_weights
-- The weights of a trial that I have just ended COMPLETE, if few enough are better; none otherwise.
-- The statement follows `fence_ends` and `finish` in their transaction.
with mine as (
    select l.number, l.attempt, case when %(minimize)s then v.value else -v.value end as rank
    from tuner.lease l join trials t using (trial_id)
    join trial_values v on v.trial_id = t.trial_id and v.objective = 0
    where l.study_id = %(study_id)s and l.number = %(number)s and l.attempt = %(attempt)s
      and l.owner = %(me)s and t.state = 'COMPLETE' and v.value_type = 'FINITE'
)
insert into tuner.weights (study_id, number, attempt, step, sha256, n_bytes)
select %(study_id)s, m.number, m.attempt, %(step)s, %(sha256)s, %(n_bytes)s
from mine m
where %(n_best)s > (
    select count(*) from tuner.weights w
    join trials t on t.study_id = w.study_id and t.number = w.number
    join trial_values v on v.trial_id = t.trial_id and v.objective = 0
    where w.study_id = %(study_id)s
      and (case when %(minimize)s then v.value else -v.value end, w.number) < (m.rank, m.number))
on conflict (study_id, number) do nothing
returning weights_id;

-- name: insert_weights_chunk
-- One part of their content.
insert into tuner.weights_chunk (weights_id, part, content)
values (%(weights_id)s, %(part)s, %(content)s);

-- name: trim_weights
-- Delete weights no longer among the best, except those that another agent is deleting.
delete from tuner.weights where weights_id in (
    select w.weights_id from tuner.weights w
    where w.weights_id in (
        select x.weights_id from (
            select w.weights_id, row_number() over (order by
                case when %(minimize)s then v.value else -v.value end, w.number) as place
            from tuner.weights w
            join trials t on t.study_id = w.study_id and t.number = w.number
            join trial_values v on v.trial_id = t.trial_id and v.objective = 0
            where w.study_id = %(study_id)s) x
        where x.place > %(n_best)s)
    for update skip locked);
