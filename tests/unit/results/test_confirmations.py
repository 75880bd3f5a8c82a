"""Which of several noisy candidates is really the best, and how sure one can be."""

import random
from dataclasses import replace
from statistics import fmean

import pytest

from tuner.results.confirmation import Candidate, Confirmation, rank
from tuner.results.probability import probabilities_of_best
from tuner.study.trial import Direction
from tuner.study_file.kinds.command.objective import CommandObjective
from tuner.study_file.kinds.function import FunctionObjective

MINIMIZE, MAXIMIZE = Direction.MINIMIZE, Direction.MAXIMIZE


def _candidate(trial: int, values: list[float], *, search=None, failed=0, to_come=0) -> Candidate:
    return Candidate(
        trial=trial,
        params={"x": trial},
        search_value=search,
        values=tuple(values),
        n_failed=failed,
        n_open=to_come,
    )


def _confirmation(*candidates: Candidate, direction: Direction = MINIMIZE) -> Confirmation:
    return Confirmation(
        name="x-confirm",
        search="x",
        metric="val_loss",
        direction=direction,
        n_seeds=5,
        candidates=rank(candidates, direction),
    )


def test_the_probabilities_add_up_and_follow_the_direction():
    samples = [[1.0, 1.1, 0.9], [1.05, 1.15, 1.0], [3.0, 3.1, 2.9]]
    low = probabilities_of_best(samples, MINIMIZE)
    high = probabilities_of_best(samples, MAXIMIZE)
    assert sum(low) == pytest.approx(1)
    assert low[0] > low[1] > low[2]
    assert high[2] > 0.9
    assert low == probabilities_of_best(samples, MINIMIZE), "the same every time"


def test_of_two_alike_neither_is_favoured():
    one, other = probabilities_of_best([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]], MINIMIZE)
    assert one == pytest.approx(0.5, abs=0.01)
    assert one + other == pytest.approx(1)


def test_constant_and_equal_values_share_and_single_ones_are_not_judged():
    assert probabilities_of_best([[1.0, 1.0], [1.0, 1.0], [0.5]], MINIMIZE) == [0.5, 0.5, None]
    assert probabilities_of_best([[1.0], []], MINIMIZE) == [None, None]


def test_two_normal_samples_agree_with_the_t_distribution():
    """Of two candidates, one known exactly: the other's t distribution below that value."""
    from scipy.stats import t

    values = [0.8, 1.0, 1.3, 0.7, 1.1]
    mean, scale = fmean(values), 0.2387467277262664 / 5**0.5
    wanted = t(df=4, loc=mean, scale=scale).cdf(0.95)
    found = probabilities_of_best([values, [0.95, 0.95]], MINIMIZE)[0]
    assert found == pytest.approx(wanted, abs=0.006)


def test_stated_probabilities_come_true():
    """Over many studies, a candidate said to be the best with p is the best in about p of them."""
    rng = random.Random(3)
    said, came = [], []
    for _ in range(60):
        means = [rng.gauss(0, 1) for _ in range(3)]
        samples = [[rng.gauss(mean, 1) for _ in range(5)] for mean in means]
        shares = probabilities_of_best(samples, MINIMIZE)
        said.append(max(shares))
        came.append(means.index(min(means)) == shares.index(max(shares)))
    assert fmean(came) == pytest.approx(fmean(said), abs=0.2)


def test_the_winner_is_the_best_mean_and_not_the_best_value():
    lucky = _candidate(1, [0.5, 0.6, 0.7], search=0.1)
    steady = _candidate(2, [0.3, 0.31, 0.32], search=0.2)
    found = _confirmation(lucky, steady)
    assert found.winner.trial == 2
    assert found.luck == pytest.approx(0.5), "what the search's best value was too good"
    assert found.winner.spread == pytest.approx(0.01)
    assert found.is_finished


def test_one_that_fails_under_some_seeds_comes_after_those_that_do_not():
    brittle, steady = _candidate(1, [0.1, 0.1], failed=3), _candidate(2, [0.5, 0.6])
    assert [c.trial for c in _confirmation(brittle, steady).candidates] == [2, 1]


def test_nothing_confirmed_has_no_winner_and_ties_go_to_the_lower_number():
    waiting = _confirmation(_candidate(3, [], to_come=5), _candidate(1, [], to_come=5))
    assert waiting.winner is None
    assert not waiting.is_finished
    tied = _confirmation(_candidate(7, [1.0, 2.0]), _candidate(4, [2.0, 1.0]), direction=MAXIMIZE)
    assert [c.trial for c in tied.candidates] == [4, 7]


def test_seeds_that_change_nothing_are_a_warning():
    alike, single = _candidate(1, [0.5, 0.5]), _candidate(2, [0.4])
    assert _confirmation(alike, single).warning is not None
    assert _confirmation(single).warning is None
    assert _confirmation(alike, _candidate(3, [0.5, 0.6])).warning is None


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (CommandObjective(command=("run", "{x}")), ("pass the seed", '"{seed}"', "TUNER_SEED")),
        (CommandObjective(command=("run", "{seed}")), ("let the program seed", "{seed}")),
        (FunctionObjective(function="train.py:train"), ("trial.seed",)),
    ],
)
def test_the_warning_says_how_each_kind_takes_the_seed(objective, words):
    alike = replace(_confirmation(_candidate(1, [0.5, 0.5])), seed_advice=objective.seed_advice)
    assert all(word in alike.warning for word in words)
