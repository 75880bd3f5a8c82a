"""Results of commands to a study, and the next step, in one line each."""

import getpass
import socket
from collections.abc import Callable, Mapping, Sequence

from tuner.cli.text.words import clean, count, render_value
from tuner.study.agents import Desired
from tuner.study.command_line import (
    UNKNOWN_FILE,
    run_study_command,
    study_command,
    undrain_command,
)
from tuner.study.control import Enqueued, Extended, Steered
from tuner.study.durations import render_seconds
from tuner.study.fleet import Drained
from tuner.study.limits import limit_name

_MAX_NUMBERS = 8


def whoami() -> str:
    """Return `user@host`, for the record."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    return clean(f"{user}@{socket.gethostname()}")


def numbers(given: Sequence[int]) -> str:
    """Return `trial 3`, `trials 3, 4 and 12 more`."""
    shown = ", ".join(map(str, given[:_MAX_NUMBERS]))
    more = f" and {len(given) - _MAX_NUMBERS} more" if len(given) > _MAX_NUMBERS else ""
    return f"trial{'' if len(given) == 1 else 's'} {shown}{more}"


def render_stop(name: str, steered: Steered) -> str:
    """Render the result of `tuner stop`."""
    if steered.is_over:
        return f"{name}: has ended already\nnext: {study_command('extend', name)} would continue it"
    again = "was stopping already" if steered.before is Desired.STOPPING else "stops"
    lines = [f"{name}: {again} ({clean(steered.reason or '')})"]
    if steered.ended:
        lines.append(f"ended here, since no living agent held them: {numbers(steered.ended)}")
    lines += [
        f"{clean(host)} still trains {numbers(held)}; its agent ends them within seconds"
        for host, held in steered.held.items()
    ]
    if steered.n_waiting:
        lines.append(f"{count(steered.n_waiting, 'enqueued trial')} will not begin")
    lines.append(
        f"next: {study_command('status', name)} shows how it ended; "
        f"{study_command('resume', name)} would continue it"
    )
    return "\n".join(lines)


def render_pause(name: str, steered: Steered) -> str:
    """Render the result of `tuner pause`."""
    again = "was paused already" if steered.before is Desired.PAUSED else "paused"
    lines = [f"{name}: {again} ({clean(steered.reason or '')})"]
    lines += [
        f"{clean(host)} saves and releases {numbers(held)} within seconds"
        for host, held in steered.held.items()
    ]
    waiting = f"{count(steered.n_agents, 'agent')} will wait" if steered.n_agents else "no agent"
    lines.append(f"next: {study_command('resume', name)} continues it ({waiting})")
    return "\n".join(lines)


def render_resume(name: str, steered: Steered, *, needs_study_file: bool) -> str:
    """Render the result of `tuner resume`."""
    if steered.before is Desired.RUNNING:
        head = f"{name}: was not paused"
    else:
        head = f"{name}: continues (it was {steered.before.value})"
    if steered.reached:
        return f"{head}\nnext: {study_command('extend', name)}; its budget is used up"
    return f"{head}\n{render_next(name, steered.n_agents, needs_study_file=needs_study_file)}"


def render_next(name: str, n_agents: int, *, needs_study_file: bool) -> str:
    """Render which agents continue the work."""
    if n_agents:
        return (
            f"next: {count(n_agents, 'agent')} at work; {study_command('status', name, '--watch')}"
        )
    return f"next: {render_start(name, needs_study_file=needs_study_file)}"


def render_start(name: str, *, needs_study_file: bool) -> str:
    """Render how an agent starts, if there is none."""
    command = f"tuner run {UNKNOWN_FILE}" if needs_study_file else run_study_command(name)
    return f"no agent is at work; {command} on any machine"


_LIMITS: Mapping[str, Callable[[float], str]] = {
    "trials": lambda n: f"{n:,}",
    "steps": lambda n: f"{n:,}",
    "seconds": render_seconds,
    "device_seconds": render_seconds,
    "target": render_value,
}


def render_extended(
    name: str, extended: Extended, step_noun: str, *, needs_study_file: bool
) -> str:
    """Render old and new limits after `tuner extend`."""
    lines = [f"{name}:"]
    for field, render in _LIMITS.items():
        old, new = getattr(extended.before, field), getattr(extended.after, field)
        word = limit_name(field, step_noun)
        if old != new:
            lines.append(f"  {word}  {'none' if old is None else render(old)} -> {render(new)}")
    if len(lines) == 1:
        lines.append("  the limits are unchanged")
    most = extended.n_draws
    if most is not None and (extended.after.trials or 0) > most:
        lines.append(f"  its grid has {count(most, 'cell')}: there cannot be more trials")
    if extended.is_released:
        lines.append("it had ended at a limit and may continue now")
    if extended.desired is Desired.RUNNING:
        lines.append(render_next(name, extended.n_agents, needs_study_file=needs_study_file))
    else:
        reason = clean(extended.reason or extended.desired.value)
        lines.append(
            f"next: {study_command('resume', name)}; it is {extended.desired.value} ({reason})"
        )
    return "\n".join(lines)


def render_enqueued(name: str, enqueued: Enqueued, *, needs_study_file: bool) -> str:
    """Render the result of `tuner enqueue` and `tuner retry`."""
    given = zip(enqueued.numbers, enqueued.params, enqueued.retry_of, strict=True)
    lines = [
        f"trial {number}: "
        + ("" if retry_of is None else f"tries trial {retry_of} again, ")
        + (", ".join(f"{key}={render_value(value)}" for key, value in params.items()) or "drawn")
        for number, params, retry_of in given
    ]
    if any(number is not None for number in enqueued.retry_of) and enqueued.limit_trials:
        lines.append(f"the limit is now {count(enqueued.limit_trials, 'trial')}")
    if enqueued.desired is not Desired.RUNNING:
        lines.append(
            f"next: {study_command('resume', name)}; the study is {enqueued.desired.value}"
        )
    elif enqueued.n_left is not None and enqueued.n_left < enqueued.n_waiting:
        missing = enqueued.n_waiting - enqueued.n_left
        extend = study_command("extend", name, f"--trials +{missing}")
        lines.append(
            f"next: {extend}; the budget leaves room for "
            f"{enqueued.n_left} of {count(enqueued.n_waiting, 'enqueued trial')}"
        )
    else:
        lines.append(render_next(name, enqueued.n_agents, needs_study_file=needs_study_file))
    return "\n".join(lines)


def render_drained(name: str | None, drained: Drained) -> str:
    """Render the result of `tuner drain`; without a name for all studies."""
    which = "all studies" if name is None else name
    what = ", ".join(clean(drain.what) for drain in drained.drains)
    again = " already" if drained.was_so else ""
    why = clean(drained.drains[0].why)
    lines = [f"{which}: {what} is{again} {why} (role {clean(drained.role)})"]
    if drained.n_agents:
        lines.append(
            f"{count(drained.n_agents, 'agent')} there: trials are saved and released within "
            "seconds, at most within failures.grace"
        )
    else:
        lines.append("no agent is there now; one that starts claims nothing")
    if drained.n_others:
        lines.append(f"{count(drained.n_others, 'other agent')} can continue the trials")
    else:
        lines.append("no other agent is at work: the trials wait")
    drain = drained.drains[0]
    lift = undrain_command(name, drain.host, drain.device, is_for_all=name is None)
    lines.append(f"next: {lift} lets it work again")
    return "\n".join(lines)


def render_undrained(name: str | None, drained: Drained) -> str:
    """Render the result of `tuner undrain`; without a name for all studies."""
    which = "all studies" if name is None else name
    what = ", ".join(clean(drain.what) for drain in drained.drains)
    agents = count(drained.n_agents, "agent") if drained.n_agents else "no agent"
    return f"{which}: {what} may work again ({agents} there)"
