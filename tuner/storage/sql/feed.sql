-- name: trials
-- For the mirror: numbers above the last one seen, and those that were open then. (A watermark by
-- time or sequence would miss transactions that commit late.)
select t.number, t.state::text,
       (select array_agg(p.param_name order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id) as names,
       (select array_agg(p.param_value order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id) as values,
       (select array_agg(p.distribution_json order by p.param_id) from trial_params p
        where p.trial_id = t.trial_id) as distributions,
       v.value, case t.state when 'COMPLETE' then l.n_steps else i.step end, i.intermediate_value,
       coalesce(l.failure in ('non_finite', 'out_of_memory'), false) as diverged
from trials t
left join trial_values v on v.trial_id = t.trial_id and v.objective = 0
left join lateral (
    select step, intermediate_value from trial_intermediate_values x
    where x.trial_id = t.trial_id and t.state = 'PRUNED'
    order by step desc limit 1) i on true
left join tuner.lease l on l.trial_id = t.trial_id
where t.study_id = %(study_id)s and (t.number > %(highest)s or t.number = any(%(open)s::int[]))
order by t.number;

-- name: rungs
-- Rung values since a snapshot, and the snapshot of now. Those of transactions that were open then
-- come again; the reader keeps one of each.
select pg_current_snapshot()::text, array_agg(r.step), array_agg(r.number), array_agg(r.value),
       array_agg(coalesce(r.place, r.number)), array_agg(r.is_complete)
from tuner.rung r
where r.study_id = %(study_id)s
  and r.xid >= coalesce(pg_snapshot_xmin(%(snapshot)s::pg_snapshot), '0'::xid8);
