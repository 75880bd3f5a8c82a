-- What failures lead to, and which code worked on a study.

alter table tuner.study
    drop constraint study_desired_check,
    add constraint study_desired_check
        check (desired in ('running', 'paused', 'stopping', 'halted')),
    add column n_failed_in_a_row      int not null default 0,    -- attempts, of all machines
    add column longest_failed_seconds float8 not null default 0, -- of these
    add column code                   json;                      -- file -> sha256; null: not known

alter table tuner.agent add column code json;                    -- what it trains with

-- How far each trial has come: an ended one by its lease, an open one by its reports.
create view tuner.progress as
select l.study_id, l.number,
       case when l.state = 'done' then l.n_steps
            else coalesce((select max(v.step) from trial_intermediate_values v
                           where v.trial_id = l.trial_id), 0) end as n_steps
from tuner.lease l;
