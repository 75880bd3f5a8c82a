"""What every pruner must hold to, whatever its algorithm."""

import math
import random
from pathlib import Path

import pytest

from tuner.search.catalog import PRUNERS, build_pruner
from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.protocols import Pruner
from tuner.study.report import RungValue
from tuner.study.schedule import ENDLESS
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict
from tuner.study_file.algorithms.reading import PRUNERS as SETTINGS
from tuner.study_file.load import load_spec
from tuner.study_file.model import Algorithm

DIGITS = Path(__file__).parents[2] / "studies" / "digits.yaml"
N_STEPS = 30


@pytest.fixture(params=Direction)
def direction(request: pytest.FixtureRequest) -> Direction:
    given: Direction = request.param
    return given


# Settings without a default, and pruners inside others.
MEDIAN = Algorithm(
    name="median", settings={key: setting.default for key, setting in SETTINGS["median"].items()}
)
ASHA = Algorithm(name="asha", settings={"min_resource": 1, "reduction_factor": 3})
VARIANTS: dict[str, list[Algorithm]] = {
    "any": [Algorithm(name="any", parts=(MEDIAN, ASHA))],
    "percentile": [Algorithm(name="percentile", settings={"percentile": 25.0})],
    "patient": [
        Algorithm(name="patient", settings={"patience": 2}),
        Algorithm(name="patient", settings={"patience": 1, "min_delta": 0.1}, parts=(MEDIAN,)),
        Algorithm(name="patient", settings={"patience": 0}, parts=(ASHA,)),
    ],
    "threshold": [Algorithm(name="threshold", settings={"lower": -1.5, "upper": 2.5})],
}
ALGORITHMS = [
    given for name in sorted(PRUNERS) for given in VARIANTS.get(name, [Algorithm(name=name)])
]


@pytest.fixture(
    params=ALGORITHMS, ids=[" ".join([a.name, *(p.name for p in a.parts)]) for a in ALGORITHMS]
)
def pruner(request: pytest.FixtureRequest, direction: Direction) -> Pruner:
    given = request.param
    known = SETTINGS.get(given.name, {})
    settings = {key: setting.default for key, setting in known.items()} | dict(given.settings)
    algorithm = given.model_copy(update={"settings": settings})
    spec = load_spec(DIGITS).model_copy(update={"pruner": algorithm, "direction": direction})
    return build_pruner(spec)


def curves(n_trials: int, seed: int) -> Curves:
    """Random values of `n_trials` trials at every step."""
    rng, made = random.Random(seed), Curves()
    made.add(
        [
            RungValue(
                step=step,
                number=number,
                value=rng.choice([0.0, 1.0, rng.random()]),
                place=number,
                is_complete=is_complete,
            )
            for step in range(N_STEPS + 1)
            for number in range(n_trials)
            for is_complete in (False, True)
        ]
    )
    return made


def histories(seed: int) -> list[History]:
    """Trials at every step, with values of all sorts."""
    rng = random.Random(seed)
    values = [0.0, 1.0, 0.5, rng.random(), math.nan, math.inf, -math.inf]
    return [
        History(
            number=rng.randrange(40),
            place=rng.randrange(40),
            values={step: rng.choice(values) for step in range(1, last + 1)},
        )
        for last in range(N_STEPS + 1)
    ]


def test_the_steps_ascend_and_end_before_the_last(pruner):
    for place in range(10):
        for n_steps in (1, 2, 9, 27, 100, None):
            end = n_steps or ENDLESS
            for run in pruner.schedule(place, n_steps).runs:
                assert run.step >= 1
                assert all(1 <= step < end for step in (*run[:1], *run[-1:]))


def test_a_schedule_is_a_function_of_place_and_length(pruner):
    for place in (0, 7):
        for n_steps in (27, None):
            assert pruner.schedule(place, n_steps) == pruner.schedule(place, n_steps)


def test_who_compares_says_so(pruner):
    assert isinstance(pruner.compares_running, bool)
    assert isinstance(pruner.compares_complete, bool)
    empty, full = Curves(), curves(20, 6)
    alone = [pruner.decide(trial, empty) for trial in histories(6)]
    if not (pruner.compares_running or pruner.compares_complete):
        assert [pruner.decide(trial, full) for trial in histories(6)] == alone


def test_every_decision_has_a_reason_in_one_line(pruner):
    for trial in histories(1):
        reason = pruner.decide(trial, curves(20, 1)).reason
        assert reason
        assert "\n" not in reason


def test_asked_twice_or_in_another_instance_of_the_history_it_says_the_same(pruner):
    others = curves(20, 2)
    first = [pruner.decide(trial, others) for trial in histories(2)]
    assert [pruner.decide(trial, others) for trial in reversed(histories(2))][::-1] == first


def test_neither_the_curves_nor_the_history_are_changed(pruner):
    others, trials = curves(20, 3), histories(3)
    for trial in trials:
        pruner.decide(trial, others)
    assert repr(trials) == repr(histories(3))
    assert all(others.at(step) == curves(20, 3).at(step) for step in range(1, N_STEPS + 1))


def test_a_trial_that_is_the_best_at_every_step_goes_on(pruner, direction):
    value = -1.0 if direction is Direction.MINIMIZE else 2.0
    for last in range(1, N_STEPS):
        values = dict.fromkeys(range(1, last + 1), value)
        trial = History(number=99, place=99, values=values)
        assert pruner.decide(trial, curves(20, 4)).action is Verdict.CONTINUE


def test_a_trial_that_reported_nothing_goes_on(pruner):
    assert pruner.decide(histories(5)[0], curves(20, 5)).action is Verdict.CONTINUE
