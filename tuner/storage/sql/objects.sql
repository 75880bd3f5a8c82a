-- name: count_objects
-- The checkpoints of a study, or of all studies, whose content is in a store outside the database.
select i.database_id, (select count(*) from tuner.checkpoint c
                       where c.object_key is not null
                         and (%(study_id)s::int is null or c.study_id = %(study_id)s))
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
