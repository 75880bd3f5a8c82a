"""One program from its start to its end: its reports, verdicts, and how it left."""

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from tuner.study.trial import full_length
from tuner.study.verdict import Outcome, Verdict
from tuner.training.lane import Lane
from tuner.trial import Mistake, Trial, TrialEnd
from tuner.worker.exits import Exit
from tuner.worker.faults import how_it_failed, in_words, render_traceback
from tuner.worker.kinds.command.saver import FolderSaver
from tuner.worker.kinds.command.step_reports import ReportSource, StepReport
from tuner.worker.programs.output import TAIL_LINES, Lines, Log
from tuner.worker.programs.process import Process
from tuner.worker.ranks.failures import outcome_of_ranks

POLL_SECONDS = 0.1  # between looks at verdicts and files
NO_REPORT_SECONDS = 600.0  # without a report: a warning
SHORT_GRACE_SECONDS = 3.0  # for a program whose trial is not wanted any more
RELEASE_SECONDS = 1.0  # for the agent's verdict after a program that was told to end has ended
TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGINT)
_LAST_LINES = 3  # of the output in a message


class Run:
    """Follows a program."""

    def __init__(
        self,
        *,
        lane: Lane,
        trial: Trial,
        metric: str,
        process: Process,
        source: ReportSource,
        saver: FolderSaver,
        grace_seconds: float,
        n_oom_kills: Callable[[], int],
        ranks: Path | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Build a run.

        `grace_seconds`: from SIGTERM to SIGKILL. `ranks`: the folder of the ranks, if any.
        """
        self._ranks = ranks
        self._lane, self._trial, self._metric = lane, trial, metric
        self._process, self._source, self._saver = process, source, saver
        self._grace_seconds = grace_seconds
        self._n_oom_kills, self._n_oom_before = n_oom_kills, n_oom_kills()
        self._clock, self._started_at = clock, clock()
        self._lines: dict[int, Lines] = {}
        self._log = Log()
        self._n_lines = 0
        self._n_reports = 0
        self._unread: deque[StepReport] = deque()
        self._is_warned = False

    def follow(self) -> Exit:
        """Follow the program to its end; stop it if the trial ends first."""
        try:
            while not self._process.is_over:
                has_reported = self._take_reports(self._report)
                self._trial.obey(self._lane.verdict(), is_saved=True)
                self._saver.consider(self._trial.step, has_reported=has_reported)
                self._warn_if_silent()
            self._take_reports(self._report, is_last=True)
            self._obey_release()
        except TrialEnd as end:
            is_unwanted = end.verdict is Verdict.DROP
            continues = end.verdict is Verdict.RELEASE
            grace_seconds = SHORT_GRACE_SECONDS if is_unwanted else self._grace_seconds
            self._stop(grace_seconds, takes_reports=continues)
            self._saver.finish(self._trial.step, is_wanted=continues)
            return Exit(lane=self._lane, how=end.verdict.outcome)
        except Mistake as mistake:
            self._stop(SHORT_GRACE_SECONDS)
            return Exit(lane=self._lane, how=Outcome.MISTAKE, message=str(mistake))
        except Exception as error:  # of a reader; the program must not outlive it
            self._stop(SHORT_GRACE_SECONDS)
            return Exit(
                lane=self._lane,
                how=how_it_failed(error),
                message=in_words(error),
                traceback=render_traceback(error),
            )
        finally:
            self._saver.finish(self._trial.step, is_wanted=False)
            self._log.flush()
        return self._ended()

    def _take_reports(self, take: Callable[[StepReport], None], *, is_last: bool = False) -> bool:
        """Pass the new reports on, and return whether there were some.

        Those in front of a wrong one count, and those behind one that ends the trial stay unread.
        """
        mistake: Mistake | None = None
        try:
            for report in self._last_reports() if is_last else self._new_reports():
                self._unread.append(report)
        except Mistake as error:
            mistake = error
        has_some = bool(self._unread)
        while self._unread:
            take(self._unread.popleft())
        if mistake is not None:
            raise mistake
        return has_some

    def _new_reports(self) -> Iterator[StepReport]:
        for line in self._read(POLL_SECONDS):
            yield from self._source.read_line(line)
        yield from self._source.poll()

    def _last_reports(self) -> Iterator[StepReport]:
        for lines in self._lines.values():
            for line in self._noted(lines.finish()):
                yield from self._source.read_line(line)
        yield from self._source.poll(is_last=True)

    def _obey_release(self) -> None:
        """Raise the end of a trial whose program has ended because its whole job was signalled.

        Slurm and service managers send SIGTERM to all processes: a program that saves and leaves is
        not complete, and one that dies of the signal is no loss. The agent's word may come later.
        """
        exit_code = self._process.exit_code
        length = full_length(self._trial.params)
        is_short = exit_code == 0 and length is not None and self._trial.step < length
        until = self._clock() + (RELEASE_SECONDS if is_short or exit_code in TERMINATED else 0.0)
        verdict = self._lane.verdict()
        while verdict is Verdict.CONTINUE and self._clock() < until:
            sleep(POLL_SECONDS)
            verdict = self._lane.verdict()
        if verdict is Verdict.RELEASE:
            self._trial.obey(verdict, is_saved=True)

    def _read(self, seconds: float) -> Iterator[str]:
        """Yield the new lines, which go to the log as well."""
        for stream, chunk in self._process.read(seconds):
            self._log.add(chunk)
            yield from self._noted(self._lines.setdefault(stream, Lines()).feed(chunk))
        self._log.flush_due()

    def _noted(self, lines: Sequence[str]) -> Sequence[str]:
        self._n_lines += len(lines)
        for line in lines[-TAIL_LINES:]:
            self._log.note(line)
        return lines

    def _report(self, report: StepReport) -> None:
        if self._metric not in report.values:
            names = ", ".join(report.values) or "no number"
            raise Mistake(f"a report has {names}, and not the study's metric {self._metric}")
        step = self._trial.step + 1 if report.step is None else report.step
        self._n_reports += 1
        self._trial.report(step=step, **report.values)

    def _stop(self, grace_seconds: float, *, takes_reports: bool = False) -> None:
        """Ask the program and its children to end, then end them.

        A program may complete its step before it saves and ends: without that step's report
        (`takes_reports`) the continued trial would lack it.
        """
        self._process.signal(signal.SIGTERM)
        until = self._clock() + grace_seconds
        if takes_reports:
            with suppress(Mistake):  # the attempt has ended by a verdict
                while not self._process.is_over and self._clock() < until:
                    self._take_reports(self._report_late)
                self._take_reports(self._report_late, is_last=True)
        while not self._process.is_over and self._clock() < until:
            for _ in self._read(POLL_SECONDS):
                pass
        self._process.end()

    def _report_late(self, report: StepReport) -> None:
        step = self._trial.step + 1 if report.step is None else report.step
        if step > self._trial.step and self._metric in report.values:
            self._trial.reports.append((step, dict(report.values)))
            self._lane.report(step, report.values)

    def _warn_if_silent(self) -> None:
        """Warn once if there has been no report for a long time."""
        if self._n_reports or self._is_warned:
            return
        if self._clock() - self._started_at >= NO_REPORT_SECONDS:
            self._is_warned = True
            minutes = round(NO_REPORT_SECONDS / 60)
            self._lane.warn(f"no report for {minutes} minutes; {self._what_came()}")

    def _failed(self, exit_code: int) -> Exit:
        how, message = outcome_of_ranks(
            exit_code,
            self._log.tail,
            self._ranks,
            has_oom_kill=self._n_oom_kills() > self._n_oom_before,
        )
        return Exit(lane=self._lane, how=how, message=message)

    def _what_came(self) -> str:
        """Return what the program has written instead of a report."""
        looked = f"reports are expected from {self._source.where}"
        last = self._log.last_lines(_LAST_LINES)
        if not last:
            return f"{looked}, and the program has printed nothing"
        return f"{looked}; {self._n_lines:,} lines were printed, and the last ones are: {last}"

    def _ended(self) -> Exit:
        exit_code = self._process.exit_code
        assert exit_code is not None
        if exit_code:
            return self._failed(exit_code)
        self._saver.finish(self._trial.step, is_wanted=self._saver.keeps_all)
        value = self._trial.last_value
        if value is None:
            message = f"the program ended without a report; {self._what_came()}"
            return Exit(lane=self._lane, how=Outcome.MISTAKE, message=message)
        return Exit(lane=self._lane, how=Outcome.COMPLETE, value=value)
