"""No trial is pruned at its last step, whatever the pruner and however seldom it reports."""

from typing import Any

import pytest
from machines import WORKER, Bench, claimed_trial, of_type

from tuner.agent.acts import Send
from tuner.agent.rules.pruning import MAX_HELD_REPORTS
from tuner.messages import Continue, Left, Reported, Start, Stop
from tuner.search.protocols import Pruner
from tuner.search.pruners.any import AnyPruner
from tuner.search.pruners.asha import AshaPruner
from tuner.search.pruners.hyperband import HyperbandPruner
from tuner.search.pruners.patient import PatientPruner
from tuner.search.pruners.percentile import PercentilePruner
from tuner.search.pruners.threshold import ThresholdPruner
from tuner.study.lease import Finish
from tuner.study.report import RungValue
from tuner.study.trial import Direction, TrialState
from tuner.study.verdict import Outcome, Verdict

DOWN = Direction.MINIMIZE
MEDIAN = PercentilePruner(
    direction=DOWN,
    percentile=50.0,
    n_startup_trials=1,
    n_warmup_steps=0,
    interval_steps=1,
    n_min_trials=1,
)
ASHA = AshaPruner(direction=DOWN, min_resource=2, reduction_factor=3)
HARSH = ThresholdPruner(lower=None, upper=-1.0, n_warmup_steps=0, interval_steps=1)
PRUNERS: dict[str, Pruner] = {
    "asha": ASHA,
    "hyperband": HyperbandPruner(
        direction=DOWN, min_resource=1, max_resource=20, reduction_factor=3
    ),
    "median": MEDIAN,
    "threshold": HARSH,
    "patient": PatientPruner(direction=DOWN, patience=0, min_delta=0.0, wrapped=None),
    "patient asha": PatientPruner(direction=DOWN, patience=0, min_delta=0.0, wrapped=ASHA),
    "list": AnyPruner([MEDIAN, ASHA, HARSH]),
}


def _bench(pruner: Pruner, n_steps: int | None, n_workers: int = 1) -> Bench:
    """Other trials were better at every step."""
    bench = Bench(pruner=pruner, n_steps=n_steps, n_workers=n_workers)
    bench.feed(
        *(
            RungValue(step=step, number=other, value=-0.5, place=other, is_complete=is_complete)
            for step in range(50)
            for other in range(50, 80)
            for is_complete in (False, True)
        )
    )
    return bench


def _stops(acts: list[Any]) -> list[Verdict]:
    return [send.message.verdict for send in of_type(acts, Send) if isinstance(send.message, Stop)]


@pytest.mark.parametrize("name", PRUNERS)
def test_a_trial_that_is_complete_early_is_not_judged_on_its_last_report(name: str) -> None:
    bench = _bench(PRUNERS[name], 20)
    trial = bench.training()
    bench.report(trial, 8, -2.0)
    about = {"number": trial.key.number, "attempt": trial.key.attempt}
    values = {"val_loss": 99.0}
    assert _stops(bench.say(Reported(**about, step=9, values=values, is_last=True))) == []
    (finish,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=99.0))
    assert isinstance(finish, Finish)
    assert finish.state is TrialState.COMPLETE
    assert "prune" not in {record.decision.action for record in finish.decisions}


@pytest.mark.parametrize("last", [20, 23])
@pytest.mark.parametrize("every", [1, 3, 5, 7, 20])
@pytest.mark.parametrize("name", PRUNERS)
def test_a_report_that_reaches_the_full_length_prunes_nothing(
    name: str, every: int, last: int
) -> None:
    bench = _bench(PRUNERS[name], 20)
    trial = bench.training()
    for step in range(every, 20, every):
        assert _stops(bench.report(trial, step, -2.0)) == []
    assert _stops(bench.report(trial, last, 99.0)) == []
    (finish,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=99.0))
    assert isinstance(finish, Finish)
    assert finish.state is TrialState.COMPLETE


@pytest.mark.parametrize("name", PRUNERS)
def test_a_bad_trial_is_pruned_before(name: str) -> None:
    """Or the test above proves nothing."""
    bench = _bench(PRUNERS[name], 20)
    trial = bench.training()
    stops = [_stops(bench.report(trial, step, 1.0 + step)) for step in (5, 10, 15)]
    assert [Verdict.PRUNE] in stops


@pytest.mark.parametrize("name", PRUNERS)
def test_the_searched_length_of_a_trial_counts(name: str) -> None:
    bench = _bench(PRUNERS[name], None)
    bench.ready()
    trial = claimed_trial(params={"epochs": 5})
    (start,) = [
        send.message
        for send in of_type(bench.claimed(trial), Send)
        if isinstance(send.message, Start)
    ]
    assert start.n_steps == 5
    assert _stops(bench.report(trial, 5, 9.0)) == []


@pytest.mark.parametrize("name", PRUNERS)
def test_of_unknown_length_a_verdict_waits_for_a_complete_trial_that_was_longer(name: str) -> None:
    bench = _bench(PRUNERS[name], None)
    trial = bench.training()
    held_at = None
    for step in range(1, 20):
        (sent,) = of_type(bench.report(trial, step, float(step)), Send) or [None]
        if held_at is None and sent is not None and sent.message.is_held:
            held_at = step
        assert sent is None or isinstance(sent.message, Continue)
    bench.machine.standing.note_length(50)
    assert _stops(bench.report(trial, 20, 0.0)) == [Verdict.PRUNE]
    (finish,) = bench.ends(bench.leave(trial, Outcome.PRUNED))
    assert isinstance(finish, Finish)
    assert finish.state is TrialState.PRUNED
    assert [record.step for record in finish.decisions][-1] == held_at


def test_an_objective_that_trains_until_it_is_pruned_is_pruned() -> None:
    bench = _bench(HARSH, None)
    trial = bench.training()
    stops = [_stops(bench.report(trial, step, 9.0)) for step in range(1, MAX_HELD_REPORTS + 2)]
    assert stops == [[]] * MAX_HELD_REPORTS + [[Verdict.PRUNE]]


def test_a_held_verdict_waits_on_where_a_complete_trial_was_not_longer() -> None:
    bench = _bench(HARSH, None, n_workers=2)
    bench.ready()
    bench.ready(WORKER + 1)
    trial, other = claimed_trial(), claimed_trial(1)
    bench.claimed(trial, other)
    assert _stops(bench.report(trial, 5, 9.0)) == [], "held: nothing is known of the length"
    about = {"number": other.key.number, "attempt": 1}
    bench.say(Reported(**about, step=10, values={"val_loss": -2.0}), worker=WORKER + 1)
    bench.say(Left(**about, how=Outcome.COMPLETE, value=-2.0), worker=WORKER + 1)
    assert _stops(bench.report(trial, 10, 9.0)) == [], "it may be the last as well"
    assert _stops(bench.report(trial, 15, 9.0)) == [Verdict.PRUNE]


def test_of_unknown_length_a_trial_that_ends_with_its_verdict_is_complete() -> None:
    bench = _bench(MEDIAN, None)
    trial = bench.training()
    bench.report(trial, 5, 9.0)
    (finish,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=9.0))
    assert isinstance(finish, Finish)
    assert finish.state is TrialState.COMPLETE
    assert finish.decisions == []  # none took effect


def test_complete_trials_that_were_longer_show_that_a_step_is_not_the_last() -> None:
    bench = _bench(MEDIAN, None)
    first = bench.training()
    bench.report(first, 8, -0.5)
    bench.stored(*bench.ends(bench.leave(first, Outcome.COMPLETE, value=-0.5)))
    bench.ready()
    trial = claimed_trial(1)
    bench.claimed(trial)
    assert _stops(bench.report(trial, 7, 9.0)) == [Verdict.PRUNE]
    bench.leave(trial, Outcome.PRUNED)
    bench.ready()
    late = claimed_trial(2)
    bench.claimed(late)
    assert _stops(bench.report(late, 8, 9.0)) == []
