"""A study as four machines of eight GPUs leave it, written by bulk SQL: for tests of size."""

import uuid
from typing import Any

import psycopg2

from tuner.storage.connections.connection import Database
from tuner.storage.work.join import join_study
from tuner.study.trial import Direction
from tuner.study_file.data.sources import SklearnData
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.study_file.model import Algorithm, Budget, StudySpec
from tuner.study_file.params.space import Choice, FloatRange, IntRange

N_HOSTS, N_GPUS, N_STEPS = 4, 8, 27


def make_spec(name: str, n_trials: int) -> StudySpec:
    """Five params, ASHA's rungs 1, 3, 9."""
    return StudySpec(
        name=name,
        objective=TrainerObjective(data=SklearnData(sklearn="digits"), model="mlp"),
        metric="val_loss",
        direction=Direction.MINIMIZE,
        params={"epochs": N_STEPS},
        search_space={
            "learning_rate": FloatRange(low=1e-4, high=1e-1, log=True),
            "batch_size": Choice(choices=(16, 32, 64, 128)),
            "n_layers": IntRange(low=1, high=4),
            "weight_decay": FloatRange(low=1e-6, high=1e-2, log=True),
            "dropout": FloatRange(low=0.0, high=0.5),
        },
        sampler=Algorithm(name="random"),
        pruner=Algorithm(name="asha", settings={"min_resource": 1, "reduction_factor": 3}),
        budget=Budget(trials=n_trials),
        seed=7,
    )


def fill(database: Database, name: str, n_trials: int) -> int:
    """Trials that ended, with params, values, reports, leases and events; the study's id."""
    spec = make_spec(name, n_trials)
    study_id = join_study(database, spec, "fingerprint", None).study_id
    url = database.engine.url
    connection = psycopg2.connect(
        host=url.query.get("host") or url.host, user=url.username, dbname=url.database
    )
    with connection, connection.cursor() as cursor:
        agents = [str(uuid.uuid4()) for _ in range(N_HOSTS)]
        for ordinal, agent in enumerate(agents):
            cursor.execute(_AGENT, (agent, study_id, ordinal, f"node{ordinal + 1}"))
        given: dict[str, Any] = {"study": study_id, "n": n_trials, "agents": agents}
        for statement in _STATEMENTS:
            cursor.execute(statement, given)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("analyze")
    connection.close()
    return study_id


_AGENT = """
insert into tuner.agent (agent_id, study_id, ordinal, host, boot, pid, devices, left_at,
                         joined_at, seconds_lived, device_seconds_busy)
select %s::uuid, %s, %s, %s, 'boot', 4711,
       (select array_agg('gpu:' || g) from generate_series(0, 7) g), now(),
       now() - interval '1 day', 86400, 600000
"""
# Hashes of the number, not random(): the same study every time.
_STATEMENTS = (
    """
create temp table made on commit drop as
select n as number, (hashint4(n) & 65535) / 65536.0 as u,
       (hashint4(n + 7919) & 65535) / 65536.0 as v, (hashint4(n + 104729) & 65535) / 65536.0 as w,
       now() - interval '1 day' + n * interval '86000 s' / %(n)s as began
from generate_series(0, %(n)s - 1) n""",
    """
alter table made add state text, add steps int, add loss float8""",
    """
update made set
    state = case when w < 0.02 then 'FAIL' when w < 0.22 then 'COMPLETE' else 'PRUNED' end,
    loss = 0.06 + 0.5 * abs(u - 0.62) + 0.15 * v * v + 0.4 * exp(-number / (%(n)s / 4.0)) * v""",
    """
update made set steps = case state when 'COMPLETE' then 27 when 'FAIL' then 2
    else case when w < 0.6 then 1 when w < 0.85 then 3 else 9 end end""",
    """
insert into trials (number, study_id, state, datetime_start, datetime_complete)
select number, %(study)s, state::trialstate, began at time zone 'utc',
       (began + steps * interval '30 s') at time zone 'utc' from made order by number""",
    """
create temp table ids on commit drop as
select m.*, t.trial_id
from made m join trials t on t.study_id = %(study)s and t.number = m.number""",
    """
insert into trial_values (trial_id, objective, value, value_type)
select trial_id, 0, loss + 2.0 / steps - 2.0 / 27, 'FINITE' from ids where state <> 'FAIL'""",
    """
insert into trial_params (trial_id, param_name, param_value, distribution_json)
select trial_id, x.name, x.value, x.kind from ids cross join lateral (values
    (1, 'learning_rate', 10 ^ (-4 + 3 * u),
     '{"name": "FloatDistribution",
       "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}'),
    (2, 'batch_size', floor(v * 4),
     '{"name": "CategoricalDistribution", "attributes": {"choices": [16, 32, 64, 128]}}'),
    (3, 'n_layers', 1 + floor(w * 4),
     '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}'),
    (4, 'weight_decay', 10 ^ (-6 + 4 * v),
     '{"name": "FloatDistribution",
       "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}'),
    (5, 'dropout', 0.5 * w,
     '{"name": "FloatDistribution",
       "attributes": {"step": null, "low": 0.0, "high": 0.5, "log": false}}')
    ) x(place, name, value, kind) order by number, x.place""",
    """
insert into trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
select trial_id, s, loss + 2.0 / s - 2.0 / 27, 'FINITE'
from ids cross join lateral generate_series(1, steps) s""",
    """
insert into tuner.metric (study_id, number, step, name, value)
select %(study)s, number, s, 'train_loss', loss * 0.8 + 2.0 / s - 2.0 / 27
from ids cross join lateral generate_series(1, steps) s where state = 'COMPLETE'""",
    """
insert into tuner.lease (study_id, number, trial_id, draw, seed, state, attempt, owner, failure,
                         reason, claimed_at, ended_at, seconds, n_steps, device)
select %(study)s, number, trial_id, number, number, 'done', 1,
       (%(agents)s::uuid[])[1 + number %% 4],
       case state when 'FAIL' then 'out_of_memory' end,
       case state when 'FAIL' then 'CUDA out of memory. Tried to allocate ' || number || ' MiB'
                  when 'PRUNED' then 'rung ' || steps || ': rank 9 of 20, keeps 6' end,
       began, began + steps * interval '30 s', steps * 6.0, steps, 'gpu:' || (number / 4) %% 8
from ids order by number""",
    """
insert into tuner.event (at, study_id, number, attempt, agent_id, kind, detail, device)
select began + x.last * steps * interval '30 s', %(study)s, number, 1,
       (%(agents)s::uuid[])[1 + number %% 4], x.kind, null,
       case when x.last = 1 then 'gpu:' || (number / 4) %% 8 end
from ids cross join lateral (values (0, 'claimed'), (1, lower(state))) x(last, kind)
order by began""",
    """
update tuner.study set n_claimed = %(n)s, next_draw = %(n)s where study_id = %(study)s""",
)
