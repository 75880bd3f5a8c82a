"""A lane connected to the agent: it sends reports and receives verdicts."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from tuner.messages import (
    Continue,
    FromWorker,
    Kept,
    Left,
    NotSaved,
    RanCode,
    Reported,
    Saved,
    Setup,
    Start,
    Stop,
    Warned,
)
from tuner.study.code import Code
from tuner.study.schedule import Schedule
from tuner.study.trial import Params, Values
from tuner.study.verdict import Verdict
from tuner.study_file.params.trainer_params import resolve
from tuner.training.checkpoint_file import CheckpointFile
from tuner.training.checkpoint_folder import FolderChanged, pack_folder
from tuner.worker.best_kept import BestKept

log = logging.getLogger(__name__)

MAX_WEIGHTS_BYTES = 1 << 28  # of one trial, in the database
VERDICT_SECONDS = 1.0  # the longest that training waits for the agent


class Mail(Protocol):
    """The part of the worker's pipe that a lane needs."""

    def send(self, message: FromWorker) -> None: ...

    def deliver(self, wait_seconds: float) -> None:
        """Pass received messages to their lanes, after waiting for at least one."""

    def end(self) -> None:
        """End the process at once."""


class PipeLane:
    """One attempt, as training sees it (`tuner.training.lane.Lane`)."""

    def __init__(
        self,
        start: Start,
        setup: Setup,
        mail: Mail,
        clock: Callable[[], float] = monotonic,
        *,
        complete: Callable[[Params], Params] = resolve,
        is_stepwise: bool = True,
        kept: BestKept | None = None,
    ) -> None:
        """Build a lane.

        `complete` adds the params that neither the study file nor the sampler set. `is_stepwise`:
        the state changes only from step to step. `kept`: the trials whose weights are wanted.
        """
        self.start = start
        self.number = start.number
        self.attempt = start.attempt
        self.params: Params = complete({**setup.fixed, **start.params})
        self.seed = start.seed
        self.checkpoint = start.checkpoint
        self._schedule = Schedule.from_bounds(start.decide_at)
        self._n_steps = start.n_steps
        self._spool = Path(setup.spool)
        self._save_every_seconds = setup.save_every_seconds
        self._mail = mail
        self._clock = clock
        self._saved_at = clock()
        self._saved_step = start.from_step
        self.from_step = start.from_step
        self.last_value = start.last_value
        self.trusts_folders = setup.trusts_folders
        self._code, self._is_code_fixed = setup.code, setup.is_code_fixed
        self._is_stepwise = is_stepwise
        self._kept = kept
        self._n_saves = 0
        self._step = start.from_step  # the last one reported
        self._step_before = 0
        self._reported_at = clock()
        self._stop: Verdict | None = None
        self._answered_step = start.from_step
        self._is_held = False  # a verdict comes with the next report
        self._waited_in_vain = False
        self._forward: Callable[[Continue | Stop], None] | None = None

    def report(self, step: int, values: Values, *, is_last: bool = False) -> None:
        """Send the metrics of a step."""
        self._step_before, self._step, self._reported_at = self._step, step, self._clock()
        self._mail.send(
            Reported(
                number=self.number,
                attempt=self.attempt,
                step=step,
                values=values,
                is_last=is_last,
            )
        )

    def save(self, step: int, state: Callable[[], object]) -> bool:
        """Write a checkpoint if it is due or the trial is being released; return whether it did."""
        return self.is_save_due(step) and self._save(step, state)

    def save_folder(self, step: int, folder: Path, *, force: bool = False) -> bool:
        """Write the content of a folder if a checkpoint is due, or in any case (`force`)."""
        return (force or self.is_save_due(step)) and self._save(step, lambda: folder)

    def is_save_due(self, step: int) -> bool:
        self._mail.deliver(0)
        is_due = self._clock() - self._saved_at >= self._save_every_seconds
        is_known = self._is_stepwise and step == self._saved_step
        return not is_known and (is_due or self._stop is Verdict.RELEASE)

    def _save(self, step: int, state: Callable[[], object]) -> bool:
        self._n_saves += 1
        name = f"{self.number}-{self.attempt}-{step}"
        if not self._is_stepwise:
            name += f"-{self._n_saves}"
        try:
            file = _write(self._spool, name, state())
        except FolderChanged as error:
            log.info("trial %d is saved later: %s", self.number, error)
            return False
        except OSError as error:
            # A full disk must not end the trial: it continues with the previous checkpoint.
            self._saved_at = self._clock()
            reason = error.strerror or str(error)
            self._mail.send(
                NotSaved(number=self.number, attempt=self.attempt, step=step, reason=reason)
            )
            return False
        # From the end: a state that takes longer than the interval must leave time to train.
        self._saved_at, self._saved_step = self._clock(), step
        self._mail.send(
            Saved(
                number=self.number,
                attempt=self.attempt,
                step=step,
                path=str(file.path),
                sha256=file.sha256,
                n_bytes=file.n_bytes,
            )
        )
        return True

    def verdict(self) -> Verdict:
        """Return the agent's verdict; wait for it only at the pruner's steps.

        The time limit counts from the report, so that the lanes of a group wait together. After a
        timeout, further calls do not wait until the agent has answered.
        """
        self._mail.deliver(0)
        deadline = self._reported_at + VERDICT_SECONDS
        while self._has_to_wait():
            left = deadline - self._clock()
            if left <= 0:
                self._waited_in_vain = True
                break
            self._mail.deliver(left)
        if self._stop is None or (self._stop is Verdict.PRUNE and self._has_just_ended()):
            return Verdict.CONTINUE  # a verdict that comes with the last step is too late
        return self._stop

    def _has_just_ended(self) -> bool:
        """Return whether the last report completed the trial's full length."""
        return self._n_steps is not None and self._step_before < self._n_steps <= self._step

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write the best epoch's weights if the trial may be among the study's best ones."""
        if self._kept is None or not self._kept.is_wanted(value, self.number):
            return
        tree = state()
        best = {"structure": tree["structure"], **tree["best"]}
        tensors = (*best["weights"].values(), *best["buffers"].values())
        if sum(tensor.nbytes for tensor in tensors) > MAX_WEIGHTS_BYTES:
            log.warning("the weights of trial %d are too large to be kept", self.number)
            return
        name = f"{self.number}-{self.attempt}-weights"
        try:
            file = _write(self._spool, name, best)
        except OSError as error:
            log.warning("the weights of trial %d are not kept: %s", self.number, error)
            return
        self._kept.note(value, self.number)
        self._mail.send(
            Kept(
                number=self.number,
                attempt=self.attempt,
                step=int(best["step"]),
                path=str(file.path),
                sha256=file.sha256,
                n_bytes=file.n_bytes,
            )
        )

    def warn(self, text: str) -> None:
        """Send a warning, which the agent shows."""
        self._mail.send(Warned(number=self.number, attempt=self.attempt, text=text))

    def note_code(self, code: Code) -> bool:
        """Send the files' hashes if they are not those that the agent began with."""
        if code == self._code:
            return True
        self._mail.send(RanCode(number=self.number, attempt=self.attempt, code=code))
        return not self._is_code_fixed

    def once(self, act: Callable[[], None]) -> None:
        """Act: one process trains."""
        act()

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        """Report the end of the attempt, and end the process if the user's code does not return."""
        self._mail.send(
            Left(
                number=self.number,
                attempt=self.attempt,
                how=verdict.outcome,
                message=message,
                facts=facts,
            )
        )
        self._mail.end()

    def _has_to_wait(self) -> bool:
        return (
            self._stop is None
            and self._answered_step < self._step
            and (self._is_held or bool(self._schedule.reached(self._step_before, self._step)))
            and not self._waited_in_vain
        )

    def take(self, message: Continue | Stop) -> None:
        """Take in an answer of the agent."""
        self._waited_in_vain = False
        match message:
            case Continue(step=step, is_held=is_held):
                self._answered_step = max(self._answered_step, step)
                self._is_held = self._is_held or is_held
                if self._forward is not None:
                    self._forward(message)
            case Stop(verdict=verdict):
                self.stop(verdict)

    def stop(self, verdict: Verdict) -> None:
        """Leave as soon as possible, for this reason or a more final one."""
        if self._stop is None or verdict.overrides(self._stop):
            self._stop = verdict
            if self._forward is not None:
                self._forward(Stop(number=self.number, attempt=self.attempt, verdict=verdict))

    @property
    def is_released(self) -> bool:
        """Return whether the agent has asked for the trial's release."""
        return self._stop is Verdict.RELEASE

    def relay(self, forward: Callable[[Continue | Stop], None]) -> None:
        """Pass the agent's answers on: another process trains the trial."""
        self._forward = forward
        if self._stop is not None:
            forward(Stop(number=self.number, attempt=self.attempt, verdict=self._stop))

    def pass_on(self, message: FromWorker) -> None:
        """Send a message of that process; safe in any thread."""
        self._mail.send(message)

    def wait(self, seconds: float) -> None:
        """Wait for an answer of the agent."""
        self._mail.deliver(seconds)


def _write(spool: Path, name: str, state: object) -> CheckpointFile:
    """Write a tree or a folder; a worker that saves only folders never loads torch."""
    if isinstance(state, Path):
        return pack_folder(state, spool, name)
    from tuner.training.checkpoint import save_checkpoint  # noqa: PLC0415 - loads torch

    return save_checkpoint(spool, name, state)
