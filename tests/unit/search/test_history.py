"""A trial as a pruner sees it."""

from collections.abc import Iterator

from tuner.search.history import History
from tuner.study.schedule import Schedule


class Counted(dict[int, float]):
    """Counts how often somebody goes through it."""

    n_passes = 0

    def __iter__(self) -> Iterator[int]:
        self.n_passes += 1
        return super().__iter__()


def test_the_latest_step_and_the_one_before_are_found_in_any_order() -> None:
    history = History(number=0, place=0, values={9: 0.1, 3: 0.2, 5: 0.3})
    assert (history.step, history.step_before) == (9, 5)
    assert History(number=0, place=0, values={4: 0.1}).step_before == 0
    assert (History(number=0, place=0, values={}).step, history.rungs(Schedule())) == (0, ())


def test_a_decision_goes_through_a_long_trial_a_few_times_and_not_once_per_step() -> None:
    values = Counted({step: 0.5 for step in range(1, 1001)})
    history = History(number=0, place=0, values=values)
    assert history.rungs(Schedule(runs=(range(1, 2000),))) == (1000,)
    assert values.n_passes <= 4, "a thousand steps with verdicts took 4.4 ms each"
