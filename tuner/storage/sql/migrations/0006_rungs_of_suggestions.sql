-- What samplers that learn from values at rungs had seen.

-- The last known rung of each open trial, in the order of open_numbers, 0 for none. Empty: the
-- sampler reads no rungs.
alter table tuner.suggestion add column open_rungs int[] not null default '{}';

-- "random", "belief" or "model": how the sampler came to the params. Null: not known.
alter table tuner.suggestion add column suggested_by text;
