"""The summary of a study: counts, time, the best trial, failures, agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tuner.errors import NoCompleteTrial
from tuner.results.best import By, Choice, choose_best, confirm_command, confirmed_best
from tuner.results.confirmation import Confirmation, find_confirmation
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.failures import FailureRow, read_failures
from tuner.storage.reading.rows import (
    AgentRow,
    CountRow,
    StudyRow,
    TrialRow,
    find_row,
    read_agents,
    read_best_number,
    read_counts,
    read_drains,
    read_last_values,
    read_n_open,
    read_span,
    read_studies,
    read_trials,
    read_used,
)
from tuner.study.command_line import study_command
from tuner.study.fleet import Drain
from tuner.study.limits import Used
from tuner.study.outlook import Outlook, find_outlook
from tuner.study.trial import COUNTED_STATES, FINAL_STATES, Params, TrialState
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec


@dataclass(frozen=True, kw_only=True)
class StateShare:
    """The number of trials in a state."""

    state: TrialState
    n_trials: int
    part: float  # of all trials


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """A study in one snapshot of the database."""

    study: StudyRow
    used: Used
    n_open: int  # trials that agents still have to end; those of other programs do not count
    counts: Mapping[TrialState, CountRow]
    n_steps_full: int | None  # of one trial that is not pruned; None: only the objective knows
    n_steps_saved: int  # not trained, thanks to pruning
    span_seconds: float | None  # see `worked_seconds`
    best: TrialRow | None  # see `choose_best`
    best_by: By | None  # None without one
    confirmation: Confirmation | None  # the newest one of its best trials
    fixed_params: Params
    step_noun: str  # "epoch" or "step"
    needs_study_file: bool  # then some commands need the study file that names it
    lease_seconds: float
    failures: tuple[FailureRow, ...]
    agents: tuple[AgentRow, ...]
    drains: tuple[Drain, ...] = ()  # that hold for the study
    outlook: Outlook | None  # of the rest of the budget; None: too few values, or no limit

    def n(self, state: TrialState) -> int:
        """Return the number of trials in a state."""
        return self.counts[state].n_trials if state in self.counts else 0

    @property
    def n_final(self) -> int:
        """Return the number of COMPLETE, PRUNED and FAIL trials."""
        return sum(self.n(state) for state in FINAL_STATES)

    @property
    def n_all(self) -> int:
        """Return the number of trials in all states, including those of other programs."""
        return sum(count.n_trials for count in self.counts.values())

    @property
    def shares(self) -> Sequence[StateShare]:
        """Return the states in which there are trials, in the order of display."""
        total = self.n_all
        return [
            StateShare(state=state, n_trials=n, part=n / total)
            for state in COUNTED_STATES
            if (n := self.n(state))
        ]

    @property
    def standing(self) -> str:
        """Describe whether the best trial is confirmed; empty without one or in a confirmation."""
        confirmed_by = self.confirmation and self.confirmation.name
        if self.best_by is None or confirmed_by == self.study.name:
            return ""
        is_confirmed = self.best_by is By.CONFIRMED or (
            # It was asked for by its value, and is the confirmed one as well.
            self.best is not None
            and confirmed_best(self.best.number, self.confirmation) == self.best.number
        )
        return "confirmed" if is_confirmed else "not confirmed"

    @property
    def expectation(self) -> str:
        """Describe which value to expect of the best trial, or how to find out; empty without one.

        The value that the search found is the best of many noisy ones.
        """
        name = self.study.name
        if self.standing == "not confirmed":
            command = confirm_command(name, needs_study_file=self.needs_study_file)
            return f"not confirmed yet: {command}"
        if self.standing != "confirmed" or self.confirmation is None or self.best is None:
            return ""
        number = self.best.number
        found = next(c for c in self.confirmation.candidates if c.trial == number)
        lucky = "" if self.used.best is None else f"{self.used.best:.5g} found; "
        spread = "" if found.spread is None else f" ± {found.spread:.2g}"
        chance = "" if found.probability is None else f", {100 * found.probability:.0f} % best"
        return f"{lucky}expect {found.mean:.5g}{spread} (trial {number}{chance})"

    @property
    def steps_noun(self) -> str:
        """Return the plural of the step's noun, for headings."""
        return f"{self.step_noun}s"

    @property
    def saved_part(self) -> float:
        """Return the part of a search without pruning that was not trained."""
        full = self.n_final * (self.n_steps_full or 0)
        return self.n_steps_saved / full if full else 0.0

    @property
    def n_steps(self) -> int:
        """Return the steps trained in all trials."""
        return sum(count.n_steps for count in self.counts.values())

    @property
    def training_seconds(self) -> float:
        """Return the time of all trials over all devices; those on one device share its time."""
        return sum(count.seconds for count in self.counts.values())


def load_summary(database: Database, name: str, by: By | None = None) -> StudySummary:
    """Load a study at a glance; `by` as in `choose_best`, raises as it does, and `NotFound`."""
    with database.reading() as connection:
        return summarize(connection, find_row(connection, name), by)


def load_summaries(database: Database) -> list[StudySummary]:
    """Load all studies at a glance, newest first."""
    with database.reading() as connection:
        return [summarize(connection, study) for study in read_studies(connection)]


def load_whole(
    database: Database, name: str, by: By | None = None
) -> tuple[StudySummary, list[TrialRow]]:
    """Load a study at a glance and its trials, of one moment; raises as `load_summary`."""
    with database.reading() as connection:
        study = find_row(connection, name)
        return summarize(connection, study, by), read_trials(connection, study.study_id)


def require_best(summary: StudySummary) -> None:
    """Raise `NoCompleteTrial` for a study without a best trial."""
    name = summary.study.name
    if summary.best is None:
        raise NoCompleteTrial(
            f"study {name!r} has no COMPLETE trial ({trials_of(summary)} are final); "
            f"{study_command('status', name)} shows why"
        )


def trials_of(summary: StudySummary) -> str:
    """Return `3 of 100 trials`, or `3 trials` if nothing bounds their number."""
    limit = summary.study.n_trials
    whole = summary.n_final if limit is None else limit
    of = "" if limit is None else f"{summary.n_final:,} of "
    return f"{of}{whole:,} trial{'' if whole == 1 else 's'}"


def summarize(connection: Snapshot, study: StudyRow, by: By | None = None) -> StudySummary:
    """Read the summary in this snapshot; `by` as in `choose_best`, and raises as it does."""
    confirmation = find_confirmation(connection, study)
    by_value = read_best_number(connection, study.study_id, study.direction)
    choice = choose_best(study, by_value, confirmation, by)
    return build_summary(
        study,
        parse_spec(study.spec),
        used=read_used(connection, study),
        n_open=read_n_open(connection, study.study_id),
        counts=read_counts(connection, study.study_id),
        span=read_span(connection, study.study_id),
        choice=choice,
        best=read_chosen(connection, study, choice),
        confirmation=confirmation,
        failures=read_failures(connection, study.study_id),
        agents=read_agents(connection, study.study_id),
        drains=read_drains(connection, study.study_id),
        last_values=read_last_values(connection, study.study_id),
    )


def read_chosen(connection: Snapshot, study: StudyRow, choice: Choice | None) -> TrialRow | None:
    """Read the best trial; None without one."""
    if choice is None:
        return None
    return read_trials(connection, study.study_id, [choice.number])[0]


def build_summary(
    study: StudyRow,
    spec: StudySpec,
    *,
    used: Used,
    n_open: int,
    counts: Sequence[CountRow],
    span: tuple[float, float] | None,
    choice: Choice | None,
    best: TrialRow | None,
    confirmation: Confirmation | None,
    failures: Sequence[FailureRow],
    agents: Sequence[AgentRow],
    drains: Sequence[Drain],
    last_values: tuple[Sequence[float], int],
) -> StudySummary:
    """Derive a summary from the rows of a study, however they were read."""
    by_state = _with_running(counts, agents)
    values, n_complete = last_values
    return StudySummary(
        study=study,
        used=used,
        n_open=n_open,
        counts=by_state,
        n_steps_full=spec.n_steps,
        n_steps_saved=_saved(by_state, spec.n_steps),
        span_seconds=worked_seconds(span, agents),
        best=best,
        best_by=None if choice is None else choice.by,
        confirmation=confirmation,
        fixed_params=spec.params,
        step_noun=spec.step_noun,
        needs_study_file=spec.needs_study_file,
        lease_seconds=spec.failures.lease_seconds,
        failures=tuple(failures),
        agents=tuple(agents),
        drains=tuple(drains),
        outlook=find_outlook(
            values,
            n_complete=n_complete,
            n_open=n_open,
            limits=study.limits,
            used=used,
            direction=study.direction,
            noise=None if confirmation is None else confirmation.noise,
        ),
    )


def worked_seconds(span: tuple[float, float] | None, agents: Sequence[AgentRow]) -> float | None:
    """Return the part of `span`, from a trial's first start to its last end, with an agent at work.

    It is all of it without agents: then another program trained the trials.
    """
    if span is None:
        return None
    first, last = span
    worked, until = 0.0, first
    for agent in sorted(agents, key=lambda agent: agent.joined_at):
        left_at = agent.left_at or agent.seen_at
        begin = max(until, agent.joined_at.timestamp())
        end = last if left_at is None else min(last, left_at.timestamp())
        if end > begin:
            worked, until = worked + end - begin, end
    return worked or last - first


def _with_running(
    counts: Sequence[CountRow], agents: Sequence[AgentRow]
) -> dict[TrialState, CountRow]:
    """Return counts by state; running attempts count with the use that their agents report."""
    seconds = sum(map(_running_seconds, agents))
    return {
        count.state: replace(count, seconds=count.seconds + seconds)
        if count.state is TrialState.RUNNING
        else count
        for count in counts
    }


def _running_seconds(agent: AgentRow) -> float:
    """Return the agent's seconds without the equal shares of trials that have ended since."""
    mine = set(agent.trials)
    return sum(
        device.seconds * sum(number in mine for number in device.trials) / len(device.trials)
        for device in agent.activity.devices
        if device.trials
    )


def _saved(counts: Mapping[TrialState, CountRow], n_steps_full: int | None) -> int:
    pruned = counts.get(TrialState.PRUNED)
    if pruned is None or n_steps_full is None:
        return 0
    return max(0, pruned.n_trials * n_steps_full - pruned.n_steps)
