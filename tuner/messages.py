"""Messages between agent and worker: one JSON object a line, never pickle.

A message's type is its class name under the key "type"; floats may be NaN or Infinity (Python's
JSON reads and writes them). Agent to worker: `ToWorker`; worker to agent: `FromWorker`.
"""

import json
import operator
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from tuner.study.code import Code
from tuner.study.goal import Goal
from tuner.study.trial import MAX_ATTRIBUTE_DEPTH, MAX_NAME, Direction, Params, Values
from tuner.study.verdict import Outcome, Verdict

# The agent's signal to the process above a worker: end the worker and everything that it started.
END_WORKER = signal.SIGUSR2


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The first message: the worker's study and data."""

    device: str  # "cpu" or "cuda:0" (the only one visible)
    n_threads: int
    objective: Mapping[str, Any]  # the study file's `objective`, as JSON
    fixed: Params  # the study file's `params`
    data_folder: str  # prepared arrays
    data_seed: int  # for the order of the training rows, the same for all trials
    goal: Goal
    spool: str  # folder for checkpoints, 0700
    save_every_seconds: float
    folder: str = ""  # the study file's, which a function's name is relative to
    trials_folder: str = ""  # parent of `trial.dir`
    search_space: Mapping[str, Any] | None = None  # as a study file writes it; None: not known
    environment: Mapping[str, str] = field(default_factory=dict)  # of the device
    n_lanes: int | None = None  # that train together; None: measured
    is_prompt: bool = False  # whether idle lanes wait for each trial's end, see `MeasuredSizes`
    keep_best: int = 0  # COMPLETE trials whose weights are wanted
    grace_seconds: float = 25.0  # from a stop to the end of the agent
    trusts_folders: bool = False  # may restore folders, which can hold pickles
    n_ranks: int = 1  # processes that train one trial together
    code: Code = field(default_factory=dict)  # the objective's files when the agent began
    is_code_fixed: bool = False  # no trial may run other files


@dataclass(frozen=True, kw_only=True)
class Start:
    number: int
    attempt: int
    params: Params  # the searched ones
    seed: int
    checkpoint: str | None  # file to continue from; its hash has been checked
    decide_at: tuple[tuple[int, int, int], ...]  # `Schedule.bounds`: where to wait for a verdict
    from_step: int = 0  # the step of the checkpoint,
    last_value: float | None = None  # and the objective there, if it was reported
    n_steps: int | None = None  # of the full trial, if known


@dataclass(frozen=True, kw_only=True)
class Continue:
    """The verdict at a step: continue."""

    number: int
    attempt: int
    step: int
    is_held: bool = False  # the trial is pruned at its next report, if there is one


@dataclass(frozen=True, kw_only=True)
class Stop:
    number: int
    attempt: int
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Room for further lanes; the lanes that were started so far are deducted.

    A start that was under way when this was sent is not among `n_taken`.
    """

    n_free: int
    n_taken: int  # starts that this process has received


@dataclass(frozen=True, kw_only=True)
class Reported:
    number: int
    attempt: int
    step: int
    values: Values
    is_last: bool = False  # the trial is COMPLETE with it, however long it could have been


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint is in the spool, synced."""

    number: int
    attempt: int
    step: int
    path: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The weights of a trial that is about to be COMPLETE are in the spool, synced."""

    number: int
    attempt: int
    step: int  # the epoch that they are of
    path: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class NotSaved:
    """A checkpoint could not be written; the trial continues."""

    number: int
    attempt: int
    step: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something about a trial that the user should see; the trial continues."""

    number: int
    attempt: int
    text: str


@dataclass(frozen=True, kw_only=True)
class RanCode:
    """The attempt runs other files of the objective than those that the agent began with."""

    number: int
    attempt: int
    code: Code


@dataclass(frozen=True, kw_only=True)
class Left:
    """The lane has left the worker; after a failure the process ends as well."""

    number: int
    attempt: int
    how: Outcome
    value: float | None = None  # of a COMPLETE lane: its best value
    message: str = ""
    traceback: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)  # plain JSON; become user attributes


ToWorker = Setup | Start | Continue | Stop
FromWorker = Ready | Reported | Saved | Kept | NotSaved | Warned | RanCode | Left
Message = ToWorker | FromWorker

_TYPES: dict[str, type[Any]] = {cls.__name__: cls for cls in get_args(Message)}


class BadMessage(ValueError):
    pass


def encode(message: Message) -> bytes:
    """Return the message as one line, with its end."""
    record = {"type": type(message).__name__, **asdict(message)}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message in a line; raises `BadMessage` for anything else."""
    try:
        record = json.loads(line)
        cls = _TYPES[record.pop("type")]
        for name in _NUMBERS.keys() & record.keys():
            if type(record[name]) is not int or not 0 <= record[name] <= _NUMBERS[name]:
                raise TypeError(f"{name} is {record[name]!r}")
        for name in _TEXTS & record.keys():
            if type(record[name]) is not str:
                raise TypeError(f"{name} is {record[name]!r}")
        for name, convert in _CONVERSIONS.get(cls, {}).items():
            if name in record:  # otherwise its default, or an error
                record[name] = convert(record[name])
        message: Message = cls(**record)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as e:
        raise BadMessage(f"not a message: {line[:200]!r}") from e
    return message


# The greatest that the database takes; user code may write any bytes to the pipe.
_NUMBERS = {
    **dict.fromkeys(("number", "attempt", "step", "from_step"), 2**31 - 1),
    "n_bytes": 2**63 - 1,
    "n_free": 4096,
    "n_taken": 2**31 - 1,
}
_MAX_PATH = 4096
_TEXTS = {"path", "sha256", "reason", "message", "traceback", "text"}


def _numeric(values: dict[str, float]) -> dict[str, float]:
    """Return metrics by name; `TypeError` for a value that is not a number."""
    return {_name(name): float(value) for name, value in values.items()}


def _name(name: str) -> str:
    """Check the name of a metric or an attribute; `TypeError` if the database would refuse it."""
    if len(name) > MAX_NAME:
        raise TypeError(f"{name[:MAX_NAME]}... is too long")
    return name


def _optional_number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _facts(facts: dict[str, object]) -> dict[str, object]:
    """Return user attributes; `TypeError` for anything else."""
    for name, value in facts.items():
        _name(name)
        _check_depth(value, MAX_ATTRIBUTE_DEPTH)
    return facts


def _code(code: dict[str, str]) -> dict[str, str]:
    """Return hashes by file; `TypeError` for anything else."""
    if not all(
        type(text) is str and len(text) <= _MAX_PATH for pair in code.items() for text in pair
    ):
        raise TypeError("the code is no hashes by file")
    return code


def _check_depth(value: object, depth: int) -> None:
    """Refuse deeply nested values: reading them would exceed the recursion limit."""
    if isinstance(value, list | dict):
        if not depth:
            raise TypeError("an attribute is nested too deeply")
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, depth - 1)


def _run(bounds: list[int]) -> tuple[int, int, int]:
    """Return start, stop and stride of a run; `TypeError` or `ValueError` for anything else."""
    start, stop, stride = (operator.index(bound) for bound in bounds)
    return start, stop, stride


def _goal(goal: dict[str, str]) -> Goal:
    return Goal(metric=goal["metric"], direction=Direction(goal["direction"]))


_CONVERSIONS: dict[type[Any], dict[str, Any]] = {
    Setup: {"goal": _goal},
    Start: {"decide_at": lambda runs: tuple(map(_run, runs))},
    Reported: {"values": _numeric},
    Stop: {"verdict": Verdict},
    RanCode: {"code": _code},
    Left: {"how": Outcome, "value": _optional_number, "facts": _facts},
}
