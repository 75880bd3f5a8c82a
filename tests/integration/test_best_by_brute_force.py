"""Guarantee 21: the best trial is the best finite COMPLETE value, ties by number."""

import random

import pytest

from tests.integration.stores import connect, make_spec
from tuner.errors import NoCompleteTrial
from tuner.results.summary import load_summary, require_best
from tuner.storage.connections.connection import Database
from tuner.storage.work.join import join_study
from tuner.study.trial import Direction

N_STUDIES = 200


@pytest.mark.parametrize("direction", list(Direction))
def test_best_equals_brute_force_on_random_studies(
    database: Database, direction: Direction
) -> None:
    rng = random.Random(f"best {direction}")
    expected: dict[str, int | None] = {}
    connection = connect(database)
    for nth in range(N_STUDIES // 2):
        spec = make_spec(name=f"study-{nth}", direction=direction, metric="val_loss")
        study_id = join_study(database, spec, "f").study_id
        trials = [_trial(rng) for _ in range(rng.randrange(12))]
        with connection, connection.cursor() as cursor:
            for number, (state, value, kind) in enumerate(trials):
                cursor.execute(
                    "insert into trials (number, study_id, state) values (%s, %s, %s)"
                    " returning trial_id",
                    (number, study_id, state),
                )
                ((trial_id,),) = cursor.fetchall()
                if kind is not None:
                    cursor.execute(
                        "insert into trial_values (trial_id, objective, value, value_type)"
                        " values (%s, 0, %s, %s)",
                        (trial_id, value, kind),
                    )
        sign = 1 if direction is Direction.MINIMIZE else -1
        good = [
            (sign * value, number)
            for number, (state, value, kind) in enumerate(trials)
            if state == "COMPLETE" and kind == "FINITE" and value is not None
        ]
        expected[spec.name] = min(good)[1] if good else None
    connection.close()
    assert None in expected.values()
    for name, number in expected.items():
        if number is None:
            with pytest.raises(NoCompleteTrial):
                require_best(load_summary(database, name))
        else:
            best = load_summary(database, name).best
            assert best is not None
            assert best.number == number, name


def _trial(rng: random.Random) -> tuple[str, float | None, str | None]:
    """A state and a value; few different values, so that there are ties."""
    state = rng.choice(["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"])
    match rng.randrange(6):
        case 0:
            return state, None, "INF_POS"
        case 1:
            return state, None, "INF_NEG"
        case 2:
            return state, None, None
        case _:
            return state, rng.choice([-1.5, 0.0, 0.25, 1e308, -1e-9]), "FINITE"
