-- name: count_objects
-- The objects of a study, or of all studies; several rows may name one.
select i.database_id, (select count(distinct c.object_key) from tuner.checkpoint c
                       where %(study_id)s::int is null or c.study_id = %(study_id)s)
from tuner.identity i;

-- name: object_keys
-- The objects that a backup may contain.
select distinct object_key, n_bytes from tuner.checkpoint where object_key is not null order by 1;

-- name: rows_of_object
-- The checkpoints with this object, and its size.
select checkpoint_id, n_bytes from tuner.checkpoint where object_key = %(object_key)s;

-- name: move_into_database
-- The content of a restored checkpoint is in the database from now on.
update tuner.checkpoint set object_key = null where checkpoint_id = %(checkpoint_id)s;
