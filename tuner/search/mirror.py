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
from tuner.study.report import RungValue
from tuner.study.schedule import MODEL_RUNGS
from tuner.study.suggestion import Basis
from tuner.study.trial import Direction, Params, TrialRecord, TrialState

_DIRECTIONS = {
    Direction.MINIMIZE: StudyDirection.MINIMIZE,
    Direction.MAXIMIZE: StudyDirection.MAXIMIZE,
}


class ShownTrial(FrozenTrial):
    """A trial with values that a model would otherwise recompute for every suggestion.

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
    """Rank COMPLETE before PRUNED; among pruned ones by their last step, then by their value."""
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
    """Every known trial, and those of them that a model may use.

    Shown are RUNNING, COMPLETE and PRUNED trials with all params that apply; a diverged trial is
    shown as pruned without a value, so that the model avoids it. Hidden are waiting and failed
    trials and those with params missing. All shown trials carry the study's own distributions of
    their params. Not thread-safe.
    """

    def __init__(self, distributions: Distributions, direction: Direction) -> None:
        self.distributions = with_conditions(distributions)
        self.direction = direction
        self._records: dict[int, TrialRecord] = {}
        self._rungs: dict[int, dict[int, float]] = {}  # values by step, by trial
        self._open: set[int] = set()
        self._highest = -1
        self._numbers: list[int] = []  # of the shown trials, ascending
        self._shown: list[ShownTrial] = []  # in the same order
        # One object for all trials with the same params: as many as combinations of conditions.
        self._shapes: dict[tuple[str, ...], dict[str, BaseDistribution]] = {}

    @property
    def highest(self) -> int:
        """Return the highest known trial number, -1 for none."""
        return self._highest

    @property
    def open_numbers(self) -> frozenset[int]:
        """Return the known trials that are not final."""
        return frozenset(self._open)

    @property
    def hidden_numbers(self) -> frozenset[int]:
        """Return numbers up to `highest` that may end later but are not shown now.

        They are waiting, have params missing, or are unknown (when numbers arrive out of order).
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

    def update_rungs(self, values: Iterable[RungValue]) -> None:
        """Take in values of trials at `MODEL_RUNGS`; the first one of a trial and step stays.

        Other steps, at which only the pruner compares, are left out: an agent passes on its own
        values at `MODEL_RUNGS` alone, and every machine must see the same ones. The values of a
        trial come in the order of their steps, except that those of a machine may come again.
        """
        for given in values:
            is_used = not given.is_complete and given.step in MODEL_RUNGS
            if is_used and not math.isnan(given.value):
                self._rungs.setdefault(given.number, {}).setdefault(given.step, given.value)

    def rungs_of(self, number: int) -> Mapping[int, float]:
        """Return the known values of a trial by rung; callers must not change them."""
        return self._rungs.get(number, _NO_RUNGS)

    def basis(self, seed: int, *, with_rungs: bool = False) -> Basis:
        """Return the basis of a batch of suggestions now, at its first place."""
        open_numbers = tuple(sorted(self._open))
        rungs = tuple(max(self.rungs_of(number), default=0) for number in open_numbers)
        return Basis(
            seed=seed,
            place=0,
            highest=self._highest,
            open_numbers=open_numbers,
            hidden=tuple(sorted(self.hidden_numbers)),
            open_rungs=rungs if with_rungs else (),
        )

    def as_of(self, basis: Basis) -> "Mirror":
        """Return this mirror as it was when a batch had this basis."""
        running, unseen = frozenset(basis.open_numbers), frozenset(basis.hidden)
        earlier = Mirror(self.distributions, self.direction)
        earlier.update(
            _reopened(record) if record.number in running else record
            for record in self._records.values()
            if record.number <= basis.highest and record.number not in unseen
        )
        earlier._highest = basis.highest
        last = dict(zip(basis.open_numbers, basis.open_rungs, strict=False))
        earlier._rungs = {
            number: {step: value for step, value in rungs.items() if step <= last.get(number, step)}
            for number, rungs in self._rungs.items()
            if number <= basis.highest
        }
        return earlier

    def shown(self) -> Sequence[ShownTrial]:
        """Return the trials that a model may use, by number; callers must not change them."""
        return self._shown

    def running_trial(self, number: int, params: Params) -> ShownTrial:
        """Return a trial that runs, or is about to."""
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
        """Return the record as Optuna's trial; None if models must not see it."""
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


_NO_RUNGS: Mapping[int, float] = MappingProxyType({})


def open_study(
    trials: Sequence[FrozenTrial],
    direction: Direction,
    sampler: optuna.samplers.BaseSampler,
    attributes: Mapping[str, Any] = MappingProxyType({}),
) -> optuna.Study:
    """Return an Optuna study over these trials, without copies, for a sampler to read.

    `attributes` are the study's system attributes.
    """
    return optuna.Study(
        study_name="mirror",
        storage=_TrialsStorage(trials, _DIRECTIONS[direction], attributes),
        sampler=sampler,
        pruner=optuna.pruners.NopPruner(),
    )


class _TrialsStorage(InMemoryStorage):
    """A storage with one study of given trials; attributes that a sampler writes are dropped.

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
