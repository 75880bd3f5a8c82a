"""A trial's record and its comparison with a repeated training. Pure, except for reading."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuner.errors import NotFound, UsageError
from tuner.storage.connections.connection import Snapshot
from tuner.storage.reading.rows import StudyRow, TrialRow, find_row, read_trials
from tuner.storage.reading.shipping import OriginRow, read_metrics, read_origin
from tuner.storage.reading.trials import read_curve
from tuner.study.code import changed_files
from tuner.study.command_line import study_command
from tuner.study.failure import FailureClass
from tuner.study.places import place_of
from tuner.study.trial import TrialState, Values
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec
from tuner.study_file.params.trainer_params import SECONDS_METRIC

Curve = Mapping[int, Values]
COMPLETE, STOPPED = "complete", "stopped"  # how a trial ends again
_HISTORY = re.compile(r" \(quarantined: failed \d+ times\)$")  # of earlier attempts
_OWN_FAILURES = frozenset(
    {
        FailureClass.NON_FINITE,
        FailureClass.OUT_OF_MEMORY,
        FailureClass.EXCEPTION,
        FailureClass.MISTAKE,
    }
)


@dataclass(frozen=True, kw_only=True)
class Record:
    """The database's record of a trial that was trained."""

    study: StudyRow
    spec: StudySpec
    trial: TrialRow
    origin: OriginRow
    curve: Curve  # all metrics by step

    @property
    def ended_by_itself(self) -> bool:
        """Return whether no user or pruner stopped it: it completed, or failed by itself."""
        return self.trial.state is TrialState.COMPLETE or self.trial.failure in _OWN_FAILURES

    @property
    def ended(self) -> str:
        """Return the expected end: COMPLETE, STOPPED, or the words of its failure."""
        if self.trial.state is TrialState.COMPLETE:
            return COMPLETE
        return _HISTORY.sub("", self.trial.reason or "") if self.ended_by_itself else STOPPED


@dataclass(frozen=True, kw_only=True)
class Again:
    """The same trial, trained again."""

    curve: Curve
    value: float | None
    ended: str  # COMPLETE, STOPPED, or how it failed
    device: str  # with its product: "cpu:0, AMD EPYC"
    fingerprint: str  # of the data
    code: Mapping[str, str]
    packages: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class MetricDifference:
    """A step at which a metric differs."""

    name: str
    first_step: int
    n_steps: int  # with another value
    largest: float  # absolute; infinite where a step is missing


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    number: int
    state: TrialState  # on the record
    n_steps: int  # compared
    value: float | None  # on the record
    value_again: float | None
    ended: str  # on the record: COMPLETE, STOPPED, or how it failed
    ended_again: str
    differences: tuple[MetricDifference, ...] = ()
    circumstances: tuple[str, ...] = field(default=())  # differences in the environment
    seed_advice: str = ""  # if values differ: how the user's code gets the seed

    @property
    def is_equal(self) -> bool:
        """Return whether every value of every step, and the end, is equal bit for bit."""
        is_same_value = self.state is not TrialState.COMPLETE or self.value == self.value_again
        return not self.differences and is_same_value and self.ended == self.ended_again


def read_record(connection: Snapshot, name: str, number: int) -> Record:
    """Read the record; raises `NotFound`, and `UsageError` for a trial that has no values."""
    study = find_row(connection, name)
    rows = read_trials(connection, study.study_id, [number])
    if not rows:
        raise NotFound(
            f"study {name!r} has no trial {number}; {study_command('trials', name)} lists them"
        )
    origin = read_origin(connection, study.study_id, number)
    if origin is None or not rows[0].state.is_final:
        raise UsageError(
            f"trial {number} of study {name!r} is {rows[0].state}; "
            "a trial that tuner trained to its end can be reproduced"
        )
    others = read_metrics(connection, study.study_id, number)
    values = read_curve(connection, study.study_id, number)
    curve = {
        step: {**others.get(step, {}), **({study.metric: values[step]} if step in values else {})}
        for step in sorted({*values, *others})
    }
    record = Record(
        study=study, spec=parse_spec(study.spec), trial=rows[0], origin=origin, curve=curve
    )
    if not curve and not record.ended_by_itself:
        raise UsageError(
            f"trial {number} of study {name!r} was ended before its first report; "
            "there is nothing to compare"
        )
    return record


def compare(record: Record, again: Again) -> Reproduction:
    """Compare step by step, metric by metric, without the time that a step took."""
    steps = sorted(record.curve)
    names = sorted({n for step in steps for n in record.curve[step]} - {SECONDS_METRIC})
    apart = [_differ(name, steps, record.curve, again.curve) for name in names]
    differences = tuple(difference for difference in apart if difference is not None)
    return Reproduction(
        number=record.trial.number,
        state=record.trial.state,
        n_steps=len(steps),
        value=record.trial.value,
        value_again=again.value,
        ended=record.ended,
        ended_again=again.ended,
        differences=differences,
        circumstances=tuple(tell_circumstances(record, again)),
        seed_advice=record.spec.objective.seed_advice if differences else "",
    )


def _differ(
    name: str, steps: Sequence[int], recorded: Curve, again: Curve
) -> MetricDifference | None:
    gaps = {
        step: _gap(recorded[step][name], again.get(step, {}).get(name))
        for step in steps
        if name in recorded[step]
    }
    apart = {step: gap for step, gap in gaps.items() if gap}
    if not apart:
        return None
    return MetricDifference(
        name=name, first_step=min(apart), n_steps=len(apart), largest=max(apart.values())
    )


def _gap(recorded: float, again: float | None) -> float:
    """Return the difference, zero for equal bits."""
    if again is None:
        return math.inf
    if recorded == again or (math.isnan(recorded) and math.isnan(again)):
        return 0.0
    gap = abs(recorded - again)
    return math.inf if math.isnan(gap) else gap


def tell_circumstances(record: Record, again: Again) -> list[str]:
    """Return the differences in the environment: each may explain others."""
    origin, told = record.origin, []
    about: Mapping[str, Any] = origin.about
    device = device_of(origin)
    if device is not None and _kind(device) != _kind(again.device):
        told.append(f"another device: then {device}, now {again.device}")
    objective = record.spec.objective
    if objective.has_prepared_data and record.study.fingerprint != again.fingerprint:
        told.append("other data: their fingerprint is not the study's")
    changed = changed_files(origin.code or {}, again.code) if origin.code is not None else ()
    if changed:
        told.append(f"other code: {', '.join(changed)}")
    packages = about.get("packages")
    for name, version in (packages if isinstance(packages, Mapping) else {}).items():
        now = again.packages.get(name)
        if now is not None and now != version:
            told.append(f"another {name}: then {version}, now {now}")
    if not objective.is_same_in_company:
        told.append("your own model differs by rounding if it trained in a group")
    if record.trial.attempt > 1:
        told.append(f"it was trained in {record.trial.attempt} attempts")
    return told


def device_of(origin: OriginRow) -> str | None:
    """Return `gpu:0, NVIDIA H200`, as far as known; worker "gpu:0#1" is on device "gpu:0"."""
    if origin.device is None:
        return None
    products = origin.about.get("devices")
    known = products if isinstance(products, Mapping) else {}
    product = known.get(place_of(origin.device))
    return f"{origin.device}, {product}" if product else origin.device


def _kind(device: str) -> str:
    """Return the product if known, otherwise GPU or CPU."""
    name, _, product = device.partition(", ")
    return product or name.partition(":")[0]
