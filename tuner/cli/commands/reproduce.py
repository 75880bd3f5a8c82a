"""`tuner reproduce STUDY N`."""

import argparse
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from tuner.cli.screen.progress_line import ProgressLine
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import count, one_line, render_value
from tuner.export.reproduction import MetricDifference, Reproduction
from tuner.messages import Reported
from tuner.reproduce_trial import Rederived, rederive, reproduce
from tuner.run_study import RunOptions
from tuner.storage.connections.connection import storage_setting
from tuner.study.trial import Params, TrialState, Values
from tuner.study_file.text.faults import quote

DIFFERS = 1  # the exit code
_ABSENT = object()  # apart from None, which is a value of a param


def execute(options: argparse.Namespace) -> int:
    """Train it again and compare, or derive its suggestion again."""
    run_options = RunOptions(storage=storage_setting(options.storage))
    if options.suggestion:
        found = rederive(options.study, options.number, run_options)
        shown = {**asdict(found), "equal": found.is_equal}
        print(render_json(shown, indent=2) if options.json else render_suggestion(found))
        return 0 if found.is_equal else DIFFERS
    file = None if options.file is None else Path(options.file)
    line = ProgressLine("")

    def tell(reported: Reported) -> None:
        line.tell(_Step(step=reported.step, n_steps=None, values={}))

    compared = reproduce(options.study, options.number, file, run_options, tell)
    line.close()
    shown = {**asdict(compared), "equal": compared.is_equal}
    print(render_json(shown, indent=2) if options.json else render(compared))
    return 0 if compared.is_equal else DIFFERS


@dataclass(frozen=True, kw_only=True)
class _Step:
    step: int
    n_steps: int | None
    values: Values
    best: tuple[int, float] | None = None


def render(compared: Reproduction) -> str:
    """Render what is equal, the differences, and their possible causes."""
    head = f"trial {compared.number}, {compared.state} on the record"
    steps = count(compared.n_steps, "step")
    if compared.is_equal:
        value = f", value {render_value(compared.value)}" if compared.value is not None else ""
        failed = (
            f", again: {one_line(compared.ended_again)}"
            if compared.state is TrialState.FAIL
            else ""
        )
        lines = [f"{head}: reproduced bit for bit ({steps}{value}{failed})"]
    else:
        lines = [f"{head}: it came out otherwise ({steps} compared)"]
        if compared.ended != compared.ended_again:
            then, now = one_line(compared.ended), one_line(compared.ended_again)
            lines.append(f"  end: then {then}, now {now}")
        lines += [f"  {_difference(each)}" for each in compared.differences]
        if compared.state is TrialState.COMPLETE:  # others are stopped after their last step
            then, now = _value(compared.value), _value(compared.value_again)
            lines.append(f"  value: then {then}, now {now}")
    lines += [f"note: {one_line(text)}" for text in compared.circumstances]
    if compared.seed_advice:
        lines.append(f"note: if training has a random part, {compared.seed_advice}")
    return "\n".join(lines)


def _difference(given: MetricDifference) -> str:
    by = "missing" if math.isinf(given.largest) else f"at most {given.largest:.2g} apart"
    steps = count(given.n_steps, "step")
    return f"{one_line(given.name)}: {by}, from step {given.first_step} on, in {steps}"


def _value(value: float | None) -> str:
    return "none" if value is None else repr(value)


def render_suggestion(found: Rederived) -> str:
    """Render the params once if equal, otherwise both."""
    head = f"trial {found.number}: the suggestion of {found.sampler}"
    if found.is_equal:
        return f"{head}, derived again, has the same params"
    names = sorted({*found.params, *found.again})
    rows = [
        f"  {one_line(name)}: then {_param(found.params, name)}, now {_param(found.again, name)}"
        for name in names
        if found.params.get(name, _ABSENT) != found.again.get(name, _ABSENT)
    ]
    return "\n".join([f"{head}, derived again, is another one", *rows])


def _param(params: Params, name: str) -> str:
    return quote(params[name]) if name in params else "nothing"
