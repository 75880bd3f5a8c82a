"""rung_gp, rung_tpe and mixed: what they learn from, and what they do with it."""

import math
from collections.abc import Iterable

import numpy as np
import pytest

from tuner.search.cube import Cube
from tuner.search.mirror import Mirror
from tuner.search.protocols import ModelSampler
from tuner.search.rung_table import FULL, RungTable, split_trials
from tuner.search.samplers.mixed import MixedSampler
from tuner.search.samplers.random import RandomSampler
from tuner.search.samplers.rung_gp import RungGpSampler
from tuner.search.samplers.rung_tpe import RungTpeSampler
from tuner.space import to_distributions
from tuner.study.report import RungValue
from tuner.study.schedule import MODEL_RUNGS
from tuner.study.suggestion import SuggestedBy
from tuner.study.trial import Direction, Params, TrialRecord, TrialState
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Near, SearchSpace

SPACE = {
    "rate": FloatRange(low=1e-4, high=1e-1, log=True),
    "size": Choice(choices=(16, 32, 64, 128)),
    "kind": Choice(choices=("a", "b", "c")),
}
DISTRIBUTIONS = to_distributions(SPACE)
DRAWS = RandomSampler(seed=9, distributions=DISTRIBUTIONS)


def loss(params: Params) -> float:
    rate, size = float(params["rate"]), float(params["size"])  # type: ignore[arg-type]
    return (math.log10(rate) + 2) ** 2 + abs(math.log2(size) - 5) + (params["kind"] != "b")


def record(number: int, state: TrialState, **fields: object) -> TrialRecord:
    given = {
        "params": DRAWS.suggest(number).params,
        "value": None,
        "last_step": None,
        "last_value": None,
        **fields,
    }
    return TrialRecord(number=number, state=state, **given)  # type: ignore[arg-type]


def searched(n: int, direction: Direction = Direction.MINIMIZE, rungs: Iterable[int] = (1,)):
    """A study in which all trials run and have values at the rungs."""
    sign = 1 if direction is Direction.MINIMIZE else -1
    mirror = Mirror(DISTRIBUTIONS, direction)
    mirror.update(record(number, TrialState.RUNNING) for number in range(n))
    mirror.update_rungs(
        RungValue(
            step=step,
            number=number,
            value=sign * loss(DRAWS.suggest(number).params),
            place=number,
        )
        for number in range(n)
        for step in rungs
    )
    return mirror


SAMPLERS = {
    "rung_tpe": lambda: RungTpeSampler(space=SPACE),
    "mixed": lambda: MixedSampler(space=SPACE, n_steps=27),
    "rung_gp": lambda: RungGpSampler(space=SPACE, n_steps=27),
}


@pytest.fixture(params=sorted(SAMPLERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sampler(name: str) -> ModelSampler:
    made: ModelSampler = SAMPLERS[name]()
    return made


@pytest.mark.parametrize("direction", Direction)
def test_values_of_running_trials_lead_to_better_suggestions(sampler, direction):
    mirror = searched(60, direction, rungs=(1, 3, 9))
    batches = [sampler.propose(mirror, 4, seed) for seed in range(10)]
    by_model = [s.params for batch in batches for s in batch if s.by is SuggestedBy.MODEL]
    drawn = np.median([loss(DRAWS.suggest(n).params) for n in range(60)])
    assert len(by_model) >= 25
    assert np.median([loss(params) for params in by_model]) < 0.75 * drawn


def test_one_in_ten_is_random_and_all_are_before_there_is_enough(sampler):
    def shares(n: int) -> float:
        found = sampler.propose(searched(n), 200, 3)
        return sum(s.by is SuggestedBy.RANDOM for s in found) / len(found)

    assert shares(7) == 1
    assert 0.05 <= shares(40) <= 0.17


def test_what_a_sampler_keeps_changes_no_suggestion(sampler, name):
    kept = [sampler.propose(searched(n), 3, n)[-1] for n in (12, 20, 33, 60)]
    mirror = searched(60)
    earlier = sampler.propose(mirror, 2, 8)
    mirror.update([record(3, TrialState.COMPLETE, value=0.0), record(60, TrialState.RUNNING)])
    again = sampler.propose(mirror, 4, 9)
    made = SAMPLERS[name]()
    assert made.propose(mirror, 4, 9) == again
    assert made.propose(searched(60), 2, 8)[1].params == earlier[1].params
    assert made.propose(searched(12), 3, 12)[-1] == kept[0]


def test_a_table_has_the_highest_value_of_every_trial():
    mirror = searched(4, rungs=(1, 3))
    mirror.update_rungs([RungValue(step=9, number=0, value=7.0, place=0)])
    mirror.update(
        [
            record(1, TrialState.COMPLETE, value=0.25),
            record(2, TrialState.FAIL, diverged=True),
            record(3, TrialState.PRUNED, last_step=3, last_value=1.0),
            record(4, TrialState.PRUNED, last_step=2, last_value=5.0),  # another program's
            record(5, TrialState.RUNNING),
            record(6, TrialState.FAIL),
        ]
    )
    table = RungTable(Cube(DISTRIBUTIONS)).read(mirror)
    assert table.numbers.tolist() == [0, 1, 2, 3, 4, 5]
    assert table.rung.tolist() == [9, FULL, 0, 3, 2, 0]
    assert table.value[[0, 1, 4]].tolist() == [7.0, 0.25, 5.0]
    assert table.diverged.tolist() == [False, False, True, False, False, False]
    assert table.is_final.tolist() == [False, True, True, True, True, False]


def test_the_highest_rung_with_enough_values_decides_who_is_good():
    mirror = searched(30)
    mirror.update_rungs(RungValue(step=3, number=n, value=float(n), place=n) for n in range(10, 20))
    table = RungTable(Cube(DISTRIBUTIONS))
    split = split_trials(table.read(mirror))
    assert split is not None
    best = sorted(range(30), key=lambda n: loss(DRAWS.suggest(n).params))[:3]
    assert sorted(split.by_rank) == sorted(best), "ten values at rung 3 are too few"
    mirror.update_rungs([RungValue(step=3, number=29, value=-1.0, place=29)])
    split = split_trials(table.read(mirror))
    assert split is not None
    assert sorted(split.by_rank) == [10, 11, 29]
    assert len(split.bad) == 27


def test_models_have_values_at_powers_of_three():
    assert MODEL_RUNGS.reached(0, 100) == (1, 3, 9, 27, 81)


BELIEVING = {
    **SPACE,
    "rate": FloatRange(low=1e-4, high=1e-1, log=True, near=Near(values=(0.003, 0.03))),
    "kind": Choice(choices=("a", "b", "c"), near=Near(values=("b",))),
}


def believed(space: SearchSpace, mirror: Mirror) -> list[Params]:
    """The suggestions that come from a belief, of 200."""
    found = MixedSampler(space=space, n_steps=27).propose(mirror, 200, 4)
    return [s.params for s in found if s.by is SuggestedBy.BELIEF]


def test_half_of_the_first_suggestions_lie_around_a_belief():
    params = believed(BELIEVING, searched(0))
    assert 80 <= len(params) <= 120
    assert np.mean([0.001 < float(p["rate"]) < 0.09 for p in params]) > 0.9  # type: ignore[arg-type]
    assert np.mean([p["kind"] == "b" for p in params]) > 0.75
    assert len({p["size"] for p in params}) == 4, "there is no belief in a size"


def test_a_belief_that_the_record_contradicts_loses_its_share():
    wrong = {**BELIEVING, "rate": SPACE["rate"].model_copy(update={"near": Near(values=(1e-4,))})}
    right = len(believed(BELIEVING, searched(60)))
    assert right > 30
    assert len(believed(wrong, searched(60))) < right / 2


def test_suggestions_around_a_belief_keep_what_their_group_shares():
    found = MixedSampler(space=BELIEVING, n_steps=27).propose(
        searched(20), 40, 4, shared={"kind", "size"}
    )
    assert len({(s.params["kind"], s.params["size"]) for s in found}) == 1
    assert any(s.by is SuggestedBy.BELIEF for s in found)


def test_a_belief_in_one_of_a_billion_steps_costs_no_memory():
    space = {"n": IntRange(low=1, high=10**9, near=Near(values=(5 * 10**8,)))}
    params = believed(space, Mirror(to_distributions(space), Direction.MINIMIZE))
    assert np.mean([2 * 10**8 < int(p["n"]) < 8 * 10**8 for p in params]) > 0.9  # type: ignore[arg-type]
