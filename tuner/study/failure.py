"""Causes of failed attempts."""

from dataclasses import dataclass
from enum import StrEnum

from tuner.study.trial import AttemptKey

# A trial that brought down its worker or agent this often is at fault itself.
MAX_LOSSES = 5


class FailureClass(StrEnum):
    """Causes, by their consequences (`agent.rules.failures`)."""

    NON_FINITE = "non_finite"  # NaN or infinity, reported or trained into
    OUT_OF_MEMORY = "out_of_memory"
    EXCEPTION = "exception"  # raised by the objective
    MISTAKE = "mistake"  # of the objective's code: a wrong return, a report without the metric
    TIMEOUT = "timeout"  # longer than `trial.timeout`
    SILENCE = "silence"  # no sign of progress for too long
    EXIT = "exit"  # the worker left by itself, with an exit code
    CRASH = "crash"  # segmentation fault and its kin
    KILLED = "killed"  # from outside: SIGKILL, the kernel's OOM killer
    AGENT_LOST = "agent_lost"  # the whole machine fell silent


@dataclass(frozen=True, kw_only=True)
class Failure:
    cause: FailureClass
    message: str  # one sentence for people
    traceback: str = ""
    log_tail: str = ""  # the last lines that the attempt printed

    @property
    def is_loss(self) -> bool:
        """Return whether the cause is most likely outside the trial's own code."""
        return self.cause in (FailureClass.CRASH, FailureClass.KILLED, FailureClass.AGENT_LOST)

    @property
    def is_by_params(self) -> bool:
        """Return whether the same code with other params would most likely have succeeded."""
        return self.cause in (FailureClass.NON_FINITE, FailureClass.OUT_OF_MEMORY)


@dataclass(kw_only=True)
class Fault:
    """A failed attempt, counted against its device."""

    key: AttemptKey
    place: str  # "gpu:0"
    step: int  # the last one it reported
    at: float  # seconds on the agent's clock
    fared_better: bool = False  # the trial came further elsewhere
