-- name: lock_name
-- One creator per name at a time.
select pg_advisory_xact_lock(hashtextextended('tuner study ' || %(name)s, 0));

-- name: find
-- The study of this name, with our part of it if there is one.
select s.study_id, t.spec, t.fingerprint, t.limit_trials
from studies s left join tuner.study t using (study_id)
where s.study_name = %(name)s;

-- name: create
-- A study on Optuna's record and on ours.
with created as (
    insert into studies (study_name) values (%(name)s) returning study_id
), directed as (
    insert into study_directions (study_id, direction, objective)
    select study_id, %(direction)s::studydirection, 0 from created
), described as (
    insert into study_user_attributes (study_id, key, value_json)
    select study_id, a.key, a.value
    from created, unnest(%(keys)s::text[], %(values)s::text[]) a(key, value)
)
insert into tuner.study (study_id, spec, fingerprint, metric, limit_trials)
select study_id, %(spec)s::json, %(fingerprint)s, %(metric)s, %(limit_trials)s from created
returning study_id;
