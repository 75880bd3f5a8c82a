"""The study in memory, as model-based samplers see it."""

import math
from bisect import bisect_left
from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuner.space import Distributions, applying, with_conditions
from tuner.study.trial import Direction, Params, TrialRecord, TrialState

_DIRECTIONS = {
    Direction.MINIMIZE: StudyDirection.MINIMIZE,
    Direction.MAXIMIZE: StudyDirection.MAXIMIZE,
}


class ShownTrial(FrozenTrial):
    """A trial with what a model would else work out anew for every suggestion.

    `internal` are the params as Optuna's models take them, by name. `badness` orders finished
    trials as its TPE does, the best one first; None while the trial runs.
    """

    def __init__(self, direction: Direction, **facts: Any) -> None:
        super().__init__(**facts)
        self.internal = {
            name: distribution.to_internal_repr(self.params[name])
            for name, distribution in self.distributions.items()
        }
        self.badness = _badness(self, direction)


def _badness(trial: FrozenTrial, direction: Direction) -> tuple[int, float, float] | None:
    """Complete before pruned; of the pruned, who got further, then who had the better value."""
    match trial.state:
        case OptunaState.COMPLETE:
            assert trial.value is not None
            return (0, 0.0, direction.rank(trial.value))
        case OptunaState.PRUNED if trial.intermediate_values:
            step, value = max(trial.intermediate_values.items())
            return (1, -step, math.inf if math.isnan(value) else direction.rank(value))
        case OptunaState.PRUNED:
            return (1, 1.0, 0.0)
    return None


class Mirror:
    """Every trial that was heard of, and those of them that a model may look at.

    Shown are RUNNING, COMPLETE and PRUNED trials with all params that apply; a diverged trial
    is shown as pruned without a value, so that the model stays away from it. Hidden are waiting
    and failed trials and those with params missing. All shown trials carry the study's own
    distributions of their params. Not thread-safe.
    """

    def __init__(self, distributions: Distributions, direction: Direction) -> None:
        self.distributions = with_conditions(distributions)
        self.direction = direction
        self._records: dict[int, TrialRecord] = {}
        self._open: set[int] = set()
        self._highest = -1
        self._numbers: list[int] = []  # of the shown trials, ascending
        self._shown: list[ShownTrial] = []  # in the same order
        # One object for all trials with the same params: as many as combinations of conditions.
        self._shapes: dict[tuple[str, ...], dict[str, BaseDistribution]] = {}

    @property
    def highest(self) -> int:
        """The highest trial number heard of, -1 for none."""
        return self._highest

    @property
    def open_numbers(self) -> frozenset[int]:
        """The trials heard of that are not final."""
        return frozenset(self._open)

    @property
    def hidden_numbers(self) -> frozenset[int]:
        """Numbers up to `highest` that may end later but are not shown now.

        They are waiting, have params missing, or were not heard of (when numbers arrive out
        of order).
        """
        unheard: tuple[int, ...] = ()
        if len(self._records) <= self._highest:
            unheard = tuple(n for n in range(self._highest + 1) if n not in self._records)
        return frozenset(unheard) | {n for n in self._open if not self._is_shown(n)}

    def update(self, records: Iterable[TrialRecord]) -> None:
        """Take in new and changed trials, in any order; a final trial never changes."""
        for record in records:
            known = self._records.get(record.number)
            if known is not None and known.state.is_final:
                continue
            self._records[record.number] = record
            self._highest = max(self._highest, record.number)
            if record.state.is_final:
                self._open.discard(record.number)
            else:
                self._open.add(record.number)
            self._show(record.number, self._freeze(record))

    def as_of(
        self, highest: int, open_numbers: Iterable[int], hidden: Iterable[int] = ()
    ) -> "Mirror":
        """This mirror as it was when `highest` and the open numbers were these.

        `hidden` are the numbers that were not shown then (`hidden_numbers`), which matters
        for trials that somebody enqueued.
        """
        running, unseen = frozenset(open_numbers), frozenset(hidden)
        earlier = Mirror(self.distributions, self.direction)
        earlier.update(
            _reopened(record) if record.number in running else record
            for record in self._records.values()
            if record.number <= highest and record.number not in unseen
        )
        earlier._highest = highest
        return earlier

    def shown(self) -> Sequence[ShownTrial]:
        """The trials that a model may look at, by number; not to be changed."""
        return self._shown

    def running_trial(self, number: int, params: Params) -> ShownTrial:
        """A trial that runs, or is about to."""
        return self._frozen(number, OptunaState.RUNNING, params, None, {})

    def _applying(self, params: Params) -> tuple[str, ...]:
        return applying(self.distributions, params)

    def _is_shown(self, number: int) -> bool:
        place = bisect_left(self._numbers, number)
        return place < len(self._numbers) and self._numbers[place] == number

    def _show(self, number: int, trial: ShownTrial | None) -> None:
        place = bisect_left(self._numbers, number)
        if self._is_shown(number):
            del self._numbers[place], self._shown[place]
        if trial is not None:
            self._numbers.insert(place, number)
            self._shown.insert(place, trial)

    def _freeze(self, record: TrialRecord) -> ShownTrial | None:
        """The record as Optuna's trial; None when a model should not see it."""
        if any(name not in record.params for name in self._applying(record.params)):
            return None
        match record.state:
            case TrialState.RUNNING:
                return self.running_trial(record.number, record.params)
            case TrialState.COMPLETE:
                if record.value is None or math.isnan(record.value):
                    return None
                state = OptunaState.COMPLETE
                return self._frozen(record.number, state, record.params, record.value, {})
            case TrialState.PRUNED:
                return self._frozen(
                    record.number, OptunaState.PRUNED, record.params, None, _last_value(record)
                )
            case TrialState.FAIL if record.diverged:
                return self._frozen(record.number, OptunaState.PRUNED, record.params, None, {})
            case _:
                return None

    def _frozen(
        self,
        number: int,
        state: OptunaState,
        params: Params,
        value: float | None,
        intermediate_values: dict[int, float],
    ) -> ShownTrial:
        names = tuple(name for name in self._applying(params) if name in params)
        if names not in self._shapes:
            self._shapes[names] = {name: self.distributions[name] for name in names}
        return ShownTrial(
            self.direction,
            number=number,
            state=state,
            value=value,
            datetime_start=None,
            datetime_complete=None,
            params={name: params[name] for name in names},
            distributions=self._shapes[names],
            user_attrs={},
            system_attrs={},
            intermediate_values=intermediate_values,
            trial_id=number,
        )


def open_study(
    trials: Sequence[FrozenTrial],
    direction: Direction,
    sampler: optuna.samplers.BaseSampler,
    attributes: Mapping[str, Any] = MappingProxyType({}),
) -> optuna.Study:
    """An Optuna study over these trials, without copies, for a sampler to look at.

    `attributes` are the study's system attributes.
    """
    return optuna.Study(
        study_name="mirror",
        storage=_TrialsStorage(trials, _DIRECTIONS[direction], attributes),
        sampler=sampler,
        pruner=optuna.pruners.NopPruner(),
    )


class _TrialsStorage(InMemoryStorage):
    """A storage with one study of given trials; what a sampler notes there is dropped.

    Optuna's own in-memory storage copies every trial and announces its study in the log.
    """

    def __init__(
        self,
        trials: Sequence[FrozenTrial],
        direction: StudyDirection,
        attributes: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self._trials = trials
        self._direction = direction
        self._attributes = dict(attributes)

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [self._direction]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[OptunaState] | None = None,
    ) -> list[FrozenTrial]:
        assert not deepcopy, "a sampler that copies trials needs a storage that does"
        if states is None:
            return list(self._trials)
        return [trial for trial in self._trials if trial.state in states]

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._attributes

    def set_study_system_attr(self, study_id: int, key: str, value: object) -> None:
        pass

    def set_trial_system_attr(self, trial_id: int, key: str, value: object) -> None:
        pass


def _last_value(record: TrialRecord) -> dict[int, float]:
    if record.last_step is None or record.last_value is None:
        return {}
    return {record.last_step: record.last_value}


def _reopened(record: TrialRecord) -> TrialRecord:
    return TrialRecord(
        number=record.number,
        state=TrialState.RUNNING,
        params=record.params,
        value=None,
        last_step=None,
        last_value=None,
    )
