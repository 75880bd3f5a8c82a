"""Consequences of a failed attempt, by its cause."""

import signal
from dataclasses import replace
from typing import assert_never

from tuner.messages import Left
from tuner.study.failure import MAX_LOSSES, Failure, FailureClass
from tuner.study.lease import ClaimedTrial, End, Finish, Release
from tuner.study.report import Report
from tuner.study.trial import TrialState
from tuner.study.verdict import Outcome

_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
LOSSES_TOGETHER = 3  # of `MAX_LOSSES`: the other lanes do not fail with a trial that crashes
_LEFT = {
    Outcome.NON_FINITE: FailureClass.NON_FINITE,
    Outcome.OUT_OF_MEMORY: FailureClass.OUT_OF_MEMORY,
    Outcome.EXCEPTION: FailureClass.EXCEPTION,
    Outcome.EXITED: FailureClass.EXIT,
    Outcome.CRASHED: FailureClass.CRASH,
    Outcome.KILLED: FailureClass.KILLED,
    Outcome.MISTAKE: FailureClass.MISTAKE,
}


def failure_of_left(left: Left, log_tail: str) -> Failure:
    """Return the failure that the worker itself reported."""
    return Failure(
        cause=_LEFT[left.how], message=left.message, traceback=left.traceback, log_tail=log_tail
    )


def failure_of_exit(exit_code: int, log_tail: str) -> Failure:
    """Return the failure of a worker that ended without a report, by its exit code."""
    if exit_code >= 0:
        message = f"the worker process left with exit code {exit_code}"
        return Failure(cause=FailureClass.EXIT, message=message, log_tail=log_tail)
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    if -exit_code in _CRASHES:
        message = f"the worker process crashed ({name})"
        return Failure(cause=FailureClass.CRASH, message=message, log_tail=log_tail)
    message = f"the worker process was killed from outside ({name})"
    if -exit_code == signal.SIGKILL:
        message += "; the kernel does so when memory runs out"
    return Failure(cause=FailureClass.KILLED, message=message, log_tail=log_tail)


def as_loss(failure: Failure) -> Failure:
    """Treat the end of a process with several trials like a crash: all but one are innocent.

    A trial that was lost `LOSSES_TOGETHER` times trains alone, so that its next end is its own.
    """
    if failure.cause in (FailureClass.EXIT, FailureClass.SILENCE):
        return replace(failure, cause=FailureClass.CRASH)
    return failure


def end_of(trial: ClaimedTrial, failure: Failure, reports: list[Report], retries: int) -> End:
    """Return FAIL, or a release for another attempt while the trial has some left.

    A value that is not finite, a lack of memory, a mistake in the code, a timeout and a hang would
    occur again. Exceptions and exit codes are retried `retries` times; crashes and kills are
    losses, tolerated up to `MAX_LOSSES`.
    """
    match failure.cause:
        case (
            FailureClass.NON_FINITE
            | FailureClass.OUT_OF_MEMORY
            | FailureClass.MISTAKE
            | FailureClass.TIMEOUT
            | FailureClass.SILENCE
        ):
            is_over, history = True, ""
        case FailureClass.EXCEPTION | FailureClass.EXIT:
            n_tries = trial.failures + 1
            is_over = n_tries > retries
            history = f" (quarantined: failed {n_tries} times)" if n_tries > 1 else ""
        case FailureClass.CRASH | FailureClass.KILLED | FailureClass.AGENT_LOST:
            n_losses = trial.losses + 1
            is_over = n_losses >= MAX_LOSSES
            history = f" (quarantined: lost {n_losses} times)" if n_losses > 1 else ""
        case _:
            assert_never(failure.cause)
    if is_over:
        return Finish(
            key=trial.key,
            state=TrialState.FAIL,
            value=None,
            reason=failure.message + history,
            failure=failure,
            reports=reports,
        )
    return Release(
        key=trial.key,
        reason=failure.message,
        failure=failure,
        reports=reports,
    )


def last_attempt(trial: ClaimedTrial, failure: Failure, retries: int) -> int:
    """Return the number of the last attempt if this one and all that follow fail like this."""
    n_left = MAX_LOSSES - 1 - trial.losses if failure.is_loss else retries - trial.failures
    return trial.key.attempt + n_left
