"""A list of pruners."""

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.any import AnyPruner
from tuner.search.pruners.asha import AshaPruner
from tuner.search.pruners.none import NoPruner
from tuner.search.pruners.threshold import ThresholdPruner
from tuner.study.report import RungValue
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict

ASHA = AshaPruner(direction=Direction.MINIMIZE, min_resource=1, reduction_factor=3)
BOUND = ThresholdPruner(lower=None, upper=3.0, n_warmup_steps=0, interval_steps=4)


def history(values: dict[int, float]) -> History:
    return History(number=0, place=0, values=values, n_steps=20)


def test_one_that_prunes_is_enough_and_the_first_says_why():
    others = Curves()
    others.add([RungValue(step=1, number=9, value=0.0, place=9)])
    pruner = AnyPruner([ASHA, BOUND])
    decision = pruner.decide(history({1: 5.0}), others)
    assert (decision.action, decision.reason) == (Verdict.PRUNE, "rung 1: rank 2 of 2, keeps 1")
    other = AnyPruner([BOUND, ASHA]).decide(history({1: 5.0}), others)
    assert other.reason == "step 1: 5 is above the upper bound 3"


def test_where_none_prunes_all_reasons_are_told():
    decision = AnyPruner([ASHA, BOUND]).decide(history({1: 2.0}), Curves())
    assert decision.action is Verdict.CONTINUE
    assert decision.reason == "rung 1: rank 1 of 1, keeps 1; step 1: 2 is within the bounds"


def test_it_judges_at_the_steps_of_all_and_needs_what_any_needs():
    pruner = AnyPruner([ASHA, BOUND])
    schedule = pruner.schedule(0, 20)
    assert {step for run in schedule.runs for step in run} == {1, 3, 9, 5, 13, 17}
    assert (pruner.compares_running, pruner.compares_complete) == (True, False)
    alone = AnyPruner([NoPruner(), BOUND])
    assert (alone.compares_running, alone.compares_complete) == (False, False)
