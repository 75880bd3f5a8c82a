"""Joining a study: the same search joins, another one is refused with what differs."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.stores import SEARCH_SPACE, StoredStudy, make_spec
from tuner.errors import StudyMismatch
from tuner.storage.connections.connection import Database
from tuner.storage.reading.rows import find_row
from tuner.storage.work.join import is_finished, join_study, read_defaults
from tuner.study.trial import Direction
from tuner.study_file.data.sources import SklearnData
from tuner.study_file.identity import parse_spec
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.study_file.model import (
    Algorithm,
    Budget,
    Checkpoints,
    CodePolicy,
    Confirms,
    Failures,
    StudySpec,
    Trial,
    Workers,
)
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Near

TPE = Algorithm(name="tpe", settings={"n_startup_trials": 10})
TABLES = ["studies", "study_directions", "study_user_attributes", "trials"]
TABLES += ["tuner.study", "tuner.agent"]


def _written(study: StoredStudy) -> list[Any]:
    return [study.query(f"select *, xmin::text from {table} order by 1") for table in TABLES]


def _space(**changes: object) -> Mapping[str, object]:
    return {n: r for n, r in {**SEARCH_SPACE, **changes}.items() if r is not None}


WINE = TrainerObjective(data=SklearnData(sklearn="wine"), model="mlp")
IDENTITY: list[tuple[str, dict[str, Any]]] = [
    ("objective.data.sklearn", {"objective": WINE}),
    ("minimize", {"metric": "train_loss"}),
    ("maximize", {"direction": Direction.MAXIMIZE}),
    ("params.epochs", {"params": {"epochs": 27}}),
    ("params.momentum", {"params": {"epochs": 9, "momentum": 0.5}}),
    (
        "search_space.learning_rate",
        {"search_space": _space(learning_rate=FloatRange(low=1e-4, high=0.2, log=True))},
    ),
    (
        "search_space.learning_rate",
        {"search_space": _space(learning_rate=FloatRange(low=1e-4, high=1e-1))},
    ),
    ("search_space.width", {"search_space": _space(width=IntRange(low=16, high=128, step=8))}),
    ("search_space.batch_size", {"search_space": _space(batch_size=Choice(choices=(16, 64, 32)))}),
    (
        "search_space.activation",
        {"search_space": _space(activation=Choice(choices=("relu", "tanh", 1, None)))},
    ),
    ("search_space.dropout", {"search_space": _space(dropout=None)}),
    (
        "search_space.learning_rate",
        {
            "search_space": _space(
                learning_rate=FloatRange(low=1e-4, high=1e-1, log=True, near=Near(values=(1e-3,)))
            )
        },
    ),
    ("search_space.weight_decay", {"search_space": _space(weight_decay=FloatRange(low=0, high=1))}),
    ("sampler", {"sampler": Algorithm(name="tpe")}),
    ("sampler", {"sampler": Algorithm(name="random", settings={"x": 1})}),
    ("pruner", {"pruner": Algorithm(name="asha", settings={"min_resource": 1})}),
    ("seed", {"seed": 8}),
    (
        "confirms",
        {
            "confirms": Confirms(
                study="other", study_created_at="then", trials=(1,), params=({},), seeds=2
            )
        },
    ),
]


@pytest.mark.parametrize(("field", "changes"), IDENTITY)
def test_another_search_under_the_same_name_is_refused_naming_the_field(
    study: StoredStudy, field: str, changes: dict[str, Any]
) -> None:
    before = _written(study)
    with pytest.raises(StudyMismatch, match="a different study has the name 'searched'") as error:
        join_study(study.database, make_spec(**changes), "fingerprint")
    assert f"\n{field}: stored " in str(error.value)
    assert _written(study) == before


def test_other_data_are_refused(study: StoredStudy) -> None:
    before = _written(study)
    with pytest.raises(StudyMismatch, match="data: stored fingerprint, given another"):
        join_study(study.database, study.spec, "another")
    assert _written(study) == before


def test_the_same_search_joins_and_writes_nothing(study: StoredStudy) -> None:
    before = _written(study)
    reordered = dict(reversed(list(SEARCH_SPACE.items())))
    for spec in (study.spec, make_spec(search_space=reordered)):
        joined = join_study(study.database, spec, "fingerprint")
        assert (joined.study_id, joined.is_new, joined.notices) == (study.study_id, False, ())
        assert joined.n_trials == 10
    assert _written(study) == before


_HERE = {"lease_seconds": 3.0}  # the stored study's
NOTICES: list[tuple[str, dict[str, Any]]] = [
    ("budget.trials", {"budget": Budget(trials=99)}),
    ("budget.epochs", {"budget": Budget(trials=10, epochs=5)}),
    ("budget.time_seconds", {"budget": Budget(trials=10, time_seconds=5)}),
    ("budget.gpu_seconds", {"budget": Budget(trials=10, gpu_seconds=5)}),
    ("budget.target", {"budget": Budget(trials=10, target=0.5)}),
    ("budget.stop", {"budget": Budget(trials=10, stop="plateau")}),
    ("trial.timeout_seconds", {"trial": Trial(timeout_seconds=5)}),
    ("workers.processes", {"workers": Workers(processes=3)}),
    ("workers.lanes", {"workers": Workers(lanes=3)}),
    ("workers.gpus_per_trial", {"workers": Workers(gpus_per_trial=2)}),
    ("workers.processes_per_trial", {"workers": Workers(processes_per_trial=2)}),
    ("workers.preload", {"workers": Workers(preload=True)}),
    ("checkpoints.every_seconds", {"checkpoints": Checkpoints(every_seconds=5)}),
    ("checkpoints.keep", {"checkpoints": Checkpoints(keep=5)}),
    ("checkpoints.keep_best", {"checkpoints": Checkpoints(keep_best=0)}),
    ("failures.retries", {"failures": Failures(**_HERE, retries=9)}),
    ("failures.lease_seconds", {"failures": Failures(lease_seconds=4.0)}),
    ("failures.grace_seconds", {"failures": Failures(**_HERE, grace_seconds=9)}),
    ("failures.silence_seconds", {"failures": Failures(**_HERE, silence_seconds=9)}),
    ("failures.stop_after", {"failures": Failures(**_HERE, stop_after=None)}),
    ("failures.max_offline_seconds", {"failures": Failures(**_HERE, max_offline_seconds=9)}),
    ("code", {"code": CodePolicy.REFUSE}),
    ("priority", {"priority": 3}),
    ("enqueue", {"enqueue": ({"dropout": 0.1},)}),
]


@pytest.mark.parametrize(("path", "changes"), NOTICES)
def test_what_may_differ_is_a_notice(
    study: StoredStudy, path: str, changes: dict[str, Any]
) -> None:
    before = _written(study)
    joined = join_study(study.database, make_spec(**changes), "fingerprint")
    assert [notice.path for notice in joined.notices] == [path]
    assert joined.n_trials == 10
    assert _written(study) == before


# What each machine takes from its own file, without a word about other machines.
LOCAL = [
    ("checkpoints.folders", {"checkpoints": Checkpoints(folders="trusted")}),  # type: ignore[arg-type]
    ("checkpoints.store", {"checkpoints": Checkpoints(store="file:ck")}),
]


@pytest.mark.parametrize(("path", "changes"), LOCAL)
def test_what_each_machine_decides_is_neither_compared_nor_stored(
    study: StoredStudy, path: str, changes: dict[str, Any]
) -> None:
    assert join_study(study.database, make_spec(**changes), "fingerprint").notices == ()
    new = make_spec(name="another", **changes)
    join_study(study.database, new, "fingerprint")
    section, _, field = path.partition(".")
    for (stored,) in study.query("select spec from tuner.study"):
        assert field not in stored[section]


def test_every_field_of_the_schema_is_changed_in_turn_here() -> None:
    sections = {"budget", "trial", "workers", "checkpoints", "failures"}
    fields = set(StudySpec.model_fields) - {"name"}
    expected = fields - sections
    for section in sections:
        kind = StudySpec.model_fields[section].annotation
        assert kind is not None
        expected |= {f"{section}.{name}" for name in kind.model_fields}  # type: ignore[attr-defined]
    changed = {path for path, _ in NOTICES + LOCAL}
    for _, changes in IDENTITY:
        changed |= changes.keys()
    assert changed == expected


CODE = {"train.py": "a" * 64, "nets.py": "b" * 64}


def test_other_code_is_a_notice_or_a_refusal_as_either_file_says(database: Database) -> None:
    join_study(database, make_spec(name="warn"), "f", code=CODE)
    join_study(database, make_spec(name="strict", code=CodePolicy.REFUSE), "f", code=CODE)
    other = {"train.py": "c" * 64, "new.py": "d" * 64}
    notices = join_study(database, make_spec(name="warn"), "f", code=other).notices
    assert [(n.path, n.stored, n.given) for n in notices] == [
        ("code of nets.py", "b" * 12, "nothing"),
        ("code of new.py", "nothing", "d" * 12),
        ("code of train.py", "a" * 12, "c" * 12),
    ]
    assert join_study(database, make_spec(name="warn"), "f", code=CODE).notices == ()
    strict = make_spec(name="warn", code=CodePolicy.REFUSE)
    with pytest.raises(StudyMismatch, match=f"code of train.py: stored {'a' * 12}, given "):
        join_study(database, strict, "f", code=other)
    with pytest.raises(StudyMismatch, match=r"code of new\.py: stored nothing, given "):
        join_study(database, make_spec(name="strict"), "f", code=other)


def test_a_study_of_a_version_that_noted_no_code_takes_any(study: StoredStudy) -> None:
    study.query("update tuner.study set code = null")
    assert join_study(study.database, study.spec, "fingerprint", code=CODE).notices == ()


def test_eight_first_joins_at_once_make_one_study(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        joined = list(pool.map(lambda _: join_study(database, make_spec(), "f"), range(8)))
    assert len({j.study_id for j in joined}) == 1
    assert [j.is_new for j in joined].count(True) == 1


def test_the_stored_spec_reads_back_equal_with_its_params_in_order(study: StoredStudy) -> None:
    with study.database.reading() as connection:
        found = find_row(connection, "searched")
    assert parse_spec(found.spec) == study.spec
    assert list(parse_spec(found.spec).search_space) == list(SEARCH_SPACE)
    assert (found.study_id, found.fingerprint, found.n_trials) == (
        study.study_id,
        "fingerprint",
        10,
    )


def test_optuna_sees_the_direction_and_what_the_study_is_about(
    new_study: Callable[..., StoredStudy],
) -> None:
    study = new_study(direction=Direction.MAXIMIZE, metric="val_accuracy").optuna()
    assert study.direction.name == "MAXIMIZE"
    assert study.user_attrs == {
        "tuner:metric": "val_accuracy",
        "tuner:data_fingerprint": "fingerprint",
    }


def test_a_study_is_finished_when_its_budget_is_used_and_every_trial_final(
    new_study: Callable[..., StoredStudy],
) -> None:
    study = new_study(1)
    assert not is_finished(study.database, study.study_id)
    agent = study.agent()
    trial = agent.claim_one()
    assert not is_finished(study.database, study.study_id)
    agent.finish(trial)
    assert is_finished(study.database, study.study_id)


def test_a_study_keeps_the_defaults_that_it_was_created_with(database: Database) -> None:
    old = make_spec(sampler=TPE)
    new = make_spec(sampler=Algorithm(name="mixed"))
    unnamed = {"sampler", "pruner"}
    assert read_defaults(database, new, unnamed) == (new, ()), "there is no study yet"
    join_study(database, old, "data")
    kept, notes = read_defaults(database, new, unnamed)
    assert kept == old
    assert notes == (
        "sampler: the study keeps {tpe: {n_startup_trials: 10}}, the default when it was created; "
        "the default is now mixed",
    )
    assert not join_study(database, kept, "data").is_new
    assert read_defaults(database, new, {"pruner"}) == (new, ()), "the file names its sampler"
