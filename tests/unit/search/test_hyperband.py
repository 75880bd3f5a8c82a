"""Hyperband, alone and beside Optuna's."""

from collections import Counter

import optuna
import pytest

from tests.unit.search.replay import replay
from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.hyperband import Brackets, HyperbandPruner, deal
from tuner.study.report import RungValue
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict


def build(
    direction: Direction = Direction.MINIMIZE, low: int = 1, high: int = 27, eta: int = 3
) -> HyperbandPruner:
    return HyperbandPruner(
        direction=direction, min_resource=low, max_resource=high, reduction_factor=eta
    )


def test_brackets_start_at_later_and_later_rungs():
    pruner = build()
    firsts = {
        pruner.brackets(place): pruner.schedule(place, 100).runs[0].start for place in range(49)
    }
    assert firsts == {0: 1, 1: 3, 2: 9, 3: 27}
    assert pruner.schedule(48, 27).runs == () or pruner.brackets(48) < 3


@pytest.mark.parametrize(
    ("low", "high", "eta"), [(1, 27, 3), (1, 100, 3), (2, 64, 2), (1, 1, 3), (5, 20, 4), (1, 81, 3)]
)
def test_shares_are_those_of_optuna(low, high, eta):
    theirs = optuna.pruners.HyperbandPruner(low, high, eta)
    theirs._try_initialization(optuna.create_study())
    brackets = Brackets(min_resource=low, max_resource=high, reduction_factor=eta)
    if (low, high) != (1, 81):
        assert list(brackets.weights()) == theirs._trial_allocation_budgets
    assert len(brackets.weights()) == len(theirs._trial_allocation_budgets)


def test_a_power_of_eta_is_not_missed_by_rounding():
    brackets = Brackets(min_resource=1, max_resource=1000, reduction_factor=10)
    assert len(brackets.weights()) == 4  # floor(math.log(1000, 10)) is 2


def test_a_cycle_deals_every_bracket_its_share_and_spreads_it():
    cycle = deal((27, 12, 6, 4))
    assert len(cycle) == 49
    assert Counter(cycle) == {0: 27, 1: 12, 2: 6, 3: 4}
    for start in range(0, 42, 7):
        assert 3 <= Counter(cycle[start : start + 7])[0] <= 5  # 27 / 7 expected


def test_a_long_cycle_is_scaled_down():
    brackets = Brackets(min_resource=1, max_resource=10**9, reduction_factor=2)
    cycle = deal(brackets.weights())
    assert len(cycle) <= 10_100
    assert set(cycle) == set(range(30))


def test_only_trials_of_the_same_bracket_count():
    pruner, others = build(), Curves()
    mine = [place for place in range(98) if pruner.brackets(place) == 1]
    foreign = [place for place in range(98) if pruner.brackets(place) != 1]
    others.add([RungValue(step=3, number=p, value=0.0, place=p) for p in foreign])
    others.add([RungValue(step=3, number=p, value=9.0, place=p) for p in mine[1:]])
    trial = History(number=mine[0], place=mine[0], values={3: 5.0})
    decision = pruner.decide(trial, others)
    assert decision.action is Verdict.CONTINUE
    assert decision.reason == f"bracket 1, rung 3: rank 1 of {len(mine)}, keeps {len(mine) // 3}"


class DealtHyperband(optuna.pruners.HyperbandPruner):
    """Optuna's, with our brackets."""

    def __init__(self, brackets: Brackets, *args: int) -> None:
        super().__init__(*args)
        self._brackets = brackets

    def _get_bracket_id(self, study: object, trial: optuna.trial.FrozenTrial) -> int:
        return self._brackets(trial.number)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("eta", [2, 3])
def test_decisions_equal_those_of_optuna_with_the_same_brackets(direction, eta):
    ours = build(direction, low=1, high=12, eta=eta)
    n_complete, n_pruned = replay(
        ours, DealtHyperband(ours.brackets, 1, 12, eta), direction, seed=3
    )
    assert n_complete >= 3
    assert n_pruned >= 8
