"""A study's summary as text and as JSON."""

from dataclasses import asdict
from typing import Any

from tuner.cli.text.confirmation import confirmed_json
from tuner.cli.text.words import count, one_line, render_table, render_value
from tuner.results.limits import LimitUse
from tuner.results.old_names import old_summary_keys
from tuner.results.progress import StudyState, find_reason, find_state, is_finished
from tuner.results.status import find_status
from tuner.results.summary import StudySummary, trials_of
from tuner.storage.reading.failures import FailureRow, SharedParam
from tuner.storage.reading.rows import AgentRow, CountRow, StudyRow, TrialRow
from tuner.study.durations import render_seconds
from tuner.study.trial import COUNTED_STATES, FINAL_STATES, Params, TrialState


def render_headline(summary: StudySummary) -> str:
    """Render one line: name, state, progress, and the reason unless it is the usual end."""
    state = find_state(summary)
    span = summary.span_seconds
    took = ""
    if span is not None and state in (StudyState.FINISHED, StudyState.STOPPED):
        took = f" in {render_seconds(span)}"
    reason = find_reason(summary)
    why = f" ({one_line(reason)})" if reason else ""
    return f"{one_line(summary.study.name)}: {state.value}, {trials_of(summary)}{took}{why}"


def render_times(summary: StudySummary) -> str:
    """Render the use of time; empty before the first trial."""
    if not summary.counts:
        return ""
    shown = [
        (state.word, count_row(summary, state))
        for state in COUNTED_STATES
        if state in FINAL_STATES or state in summary.counts
    ]
    rows = [[f"  {word}", row.n_trials, row.n_steps, row.seconds] for word, row in shown]
    rows.append(["  all", summary.n_all, summary.n_steps, summary.training_seconds])
    table = render_table(
        ["  trials", "", summary.steps_noun, "device seconds"],
        [[str(word), f"{n:,}", f"{n_steps:,}", f"{secs:.1f}"] for word, n, n_steps, secs in rows],
    )
    saved = render_saved(summary)
    return f"{table}\n  {saved}" if saved else table


def render_saved(summary: StudySummary) -> str:
    """Render the savings of pruning; empty without any or if they are unknown."""
    if not summary.n(TrialState.PRUNED) or not summary.n_steps_full:
        return ""
    saved = count(summary.n_steps_saved, summary.step_noun)
    return f"pruning saved {saved} ({100 * summary.saved_part:.0f} % of a full search)"


def count_row(summary: StudySummary, state: TrialState) -> CountRow:
    """Return the counts of a state, zeros without a trial of it."""
    zero = CountRow(state=state, n_trials=0, n_steps=0, seconds=0.0)
    return summary.counts.get(state, zero)


def render_best(summary: StudySummary) -> str:
    """Render the best trial and its params."""
    best = summary.best
    if best is None:
        return "no COMPLETE trial" if is_finished(summary) else "no COMPLETE trial yet"
    head = f"best trial {best.number}: {one_line(summary.study.metric)} {render_value(best.value)}"
    if best.reason:
        head += f", {one_line(best.reason)}"
    facts = {k: v for k, v in best.user_attrs.items() if k not in ("best_step", "seconds")}
    others = ", ".join(f"{one_line(key)} {render_value(value)}" for key, value in facts.items())
    at = (
        f", {summary.step_noun} {best.user_attrs['best_step']}"
        if "best_step" in best.user_attrs
        else ""
    )
    detail = f" ({others}{at})" if others else at
    standing = f", {summary.standing}" if summary.standing else ""
    return "\n".join([head + detail + standing, *render_params(best.params)])


def render_params(params: Params) -> list[str]:
    """Render one line each, the values in a column."""
    names = [one_line(name) for name in params]
    width = max((len(name) for name in names), default=0)
    return [
        f"  {name.ljust(width)}  {render_value(value)}"
        for name, value in zip(names, params.values(), strict=True)
    ]


def render_failures(summary: StudySummary) -> str:
    """Render FAIL trials by reason; empty without any."""
    has_places = len({(agent.host, name) for agent in summary.agents for name in agent.devices}) > 1
    lines = [
        line for failure in summary.failures[:10] for line in _render_failure(failure, has_places)
    ]
    if len(summary.failures) > 10:
        lines.append(f"  and {len(summary.failures) - 10} more kinds; --json lists all")
    return "\n".join(["failures", *lines]) if lines else ""


def _render_failure(failure: FailureRow, has_places: bool) -> list[str]:
    more = ", ..." if failure.n_trials > len(failure.numbers) else ""
    trials = f"trial{'s' if failure.n_trials > 1 else ''} {', '.join(map(str, failure.numbers))}"
    lines = [f"  {failure.n_trials} x {one_line(failure.reason)} ({trials}{more})"]
    shared = ", ".join(map(_render_shared, failure.shared))
    parts = [f"with {shared}"] if shared else []
    if failure.host and has_places:
        parts.append(one_line(f"on {failure.host} {failure.device or ''}".rstrip()))
    return [*lines, f"      all {' '.join(parts)}"] if parts else lines


def _render_shared(param: SharedParam) -> str:
    low, high = render_value(param.low), render_value(param.high)
    return f"{param.name}={low}" if low == high else f"{param.name} from {low} to {high}"


def trial_json(trial: TrialRow) -> dict[str, Any]:
    """Return a trial for programs."""
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "params": dict(trial.params),
        "steps": trial.n_steps,
        "started_at": trial.started_at and trial.started_at.isoformat(),
        "ended_at": trial.ended_at and trial.ended_at.isoformat(),
        "attempt": trial.attempt,
        "reason": trial.reason,
        "failure": trial.failure,
        "host": trial.host,
        "device": trial.device,
        "device_seconds": trial.device_seconds,
        "retry_of": trial.retry_of,
        "user_attrs": dict(trial.user_attrs),
    }


def summary_json(summary: StudySummary) -> dict[str, Any]:
    """Return a summary for programs."""
    rows = [count_row(summary, state) for state in COUNTED_STATES]
    status = find_status(summary)
    document = {
        **study_json(summary.study),
        "state": status.state.value,
        "reason": status.reason or None,
        "finished": status.is_finished,
        "active": status.is_active,
        "actions": list(status.actions),
        "counts": {row.state: row.n_trials for row in rows},
        "steps": {row.state: row.n_steps for row in rows},
        "device_seconds": {row.state: row.seconds for row in rows},
        "steps_saved_by_pruning": summary.n_steps_saved,
        "span_seconds": summary.span_seconds,
        "limits": asdict(summary.study.limits),
        "used": asdict(summary.used),
        "budget": [_limit_json(limit) for limit in status.limits],
        "seconds_left": status.seconds_left,
        "outlook": status.outlook
        and {**asdict(status.outlook), "is_unlikely": status.outlook.is_unlikely},
        "best": summary.best and trial_json(summary.best),
        "best_by": summary.best_by,
        **confirmed_json(summary.confirmation),
        "failures": [_failure_json(failure) for failure in summary.failures],
        "drains": [drain.document() for drain in summary.drains],
        "agents": [_agent_json(agent, is_lost=agent in status.lost) for agent in summary.agents],
    }
    return {**document, **old_summary_keys(document)}


def _limit_json(limit: LimitUse) -> dict[str, Any]:
    return {
        "limit": limit.key,
        "name": limit.name,
        "used": limit.used,
        "of": limit.limit,
        "part": limit.part,
        "left": limit.left,
        "reached": limit.is_reached,
    }


def _failure_json(failure: FailureRow) -> dict[str, Any]:
    return {
        "reason": failure.reason,
        "failure": failure.cause,
        "trials": failure.n_trials,
        "numbers": list(failure.numbers),
        "host": failure.host,
        "device": failure.device,
        "shared": {p.name: [p.low, p.high] for p in failure.shared},
    }


def study_json(study: StudyRow) -> dict[str, Any]:
    """Return a study for programs."""
    return {
        "name": study.name,
        "direction": study.direction.value,
        "metric": study.metric,
        "trials": study.n_trials,
        "priority": study.priority,
        "created_at": study.created_at.isoformat(),
    }


def _agent_json(agent: AgentRow, *, is_lost: bool) -> dict[str, Any]:
    return {
        "host": agent.host,
        "pid": agent.pid,
        "workers": list(agent.devices),
        "trials": list(agent.trials),
        "left": agent.left_at is not None,
        "lost": is_lost,
        "silent_seconds": agent.silent_seconds,
        "seconds_lived": agent.seconds_lived,
        "device_seconds_busy": agent.device_seconds_busy,
        "activity": asdict(agent.activity),
    }
