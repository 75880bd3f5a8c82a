"""`tuner check STUDY.yaml`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tuner.agent.workers.looking import fit_baselines, look_at_data
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import (
    count,
    cut,
    one_line,
    render_table,
    render_value,
    terminal_width,
    wrap,
)
from tuner.errors import UsageError, render_faults
from tuner.results.preview import Preview, preview
from tuner.run_study import RunOptions
from tuner.storage.embedded.home import open_home
from tuner.study.data_facts import BaselineFacts, DataFacts
from tuner.study.durations import render_seconds
from tuner.study.trial import Params
from tuner.study_file.algorithms.reading import explain_defaults
from tuner.study_file.load import LoadedStudyFile, load_study_file
from tuner.study_file.model import StudySpec


def execute(options: argparse.Namespace) -> int:
    """Validate and explain the file; then, if asked for, fit baselines or train one step."""
    path, overrides = Path(options.study_file), tuple(options.set)
    loaded = load_study_file(path, overrides)
    spec, shown = loaded.spec, preview(loaded.spec)
    facts = _look(loaded, verify=options.verify, smoke=options.smoke)
    has_faults = facts is not None and bool(facts.faults)
    baselines = _baselines(loaded) if options.baseline and not has_faults else None
    if options.json:
        print(render_json(check_json(loaded, shown, facts, baselines), indent=2))
    else:
        width = terminal_width(sys.stdout)
        print(wrap(render_check(loaded, shown, width), width), flush=True)
        if facts is not None:
            print(f"\n{render_facts(facts, width)}", flush=True)
        if baselines:
            print(f"\n{render_baselines(baselines, spec.metric, width)}", flush=True)
    if loaded.warnings:
        print(f"\nwarnings\n{render_faults(str(path), loaded.warnings)}", file=sys.stderr)
    if facts is not None:
        _print_sentences("likely mistakes in the data", facts.warnings)
        _print_sentences("faults in the data", facts.faults)
        if facts.faults:
            return UsageError.exit_code
    if options.smoke:
        print(_smoke(path, RunOptions(overrides=overrides), spec), file=sys.stderr)
    return 0


def _look(loaded: LoadedStudyFile, *, verify: bool, smoke: bool) -> DataFacts | None:
    """Look at the data, unless that runs code of the user that nothing has asked for."""
    if loaded.spec.objective.look_runs_code and not smoke:
        return None
    return look_at_data(loaded.spec, loaded.folder, open_home().data, verify=verify)


def _baselines(loaded: LoadedStudyFile) -> Sequence[BaselineFacts]:
    found = fit_baselines(loaded.spec, loaded.folder, open_home().data)
    if found is None:
        raise UsageError(
            f"--baseline: only the {loaded.spec.objective.noun} can read its data; simple "
            "models need the data of the built-in trainer"
        )
    return found


def render_baselines(
    baselines: Sequence[BaselineFacts], metric: str, width: int | None = None
) -> str:
    """Render the metrics of simple models, the goal first."""
    names = list(dict.fromkeys([metric, *baselines[0].values]))
    rows = [
        [one_line(baseline.name), *(render_value(baseline.values[name]) for name in names)]
        for baseline in baselines
    ]
    title = f"simple models, fitted to {count(baselines[0].n_rows, 'training row')}"
    return f"{title}\n{render_table(['model', *names], rows, width)}"


def _print_sentences(title: str, sentences: Sequence[str]) -> None:
    if sentences:
        lines = "\n".join(f"  {one_line(sentence)}" for sentence in sentences)
        print(wrap(f"\n{title}\n{lines}", terminal_width(sys.stderr)), file=sys.stderr)


def render_facts(facts: DataFacts, width: int | None = None) -> str:
    """Render the columns of the data, and its one-line summary."""
    lines = [one_line(facts.summary)] if facts.summary else []
    header = ["column", "use", "type", "missing", "distinct", "example"]
    rows = [
        [
            cut(one_line(column.name), 40),
            column.use,
            column.type,
            f"{column.missing:,}",
            f"{column.distinct:,}",
            one_line(column.example),
        ]
        for column in facts.columns
    ]
    if rows:
        lines += ["", render_table(header, rows, width)]
    return "\n".join(lines).strip("\n")


def _smoke(path: Path, options: RunOptions, spec: StudySpec) -> str:
    from tuner.smoke import smoke  # noqa: PLC0415 - loads what an agent loads

    result = smoke(path, options)
    values = ", ".join(f"{one_line(n)} {render_value(v)}" for n, v in result.values.items())
    step = f"{spec.step_noun} {result.step}"
    return f"smoke: one trial reached {step} in {render_seconds(result.seconds)}: {values}"


def check_json(
    loaded: LoadedStudyFile,
    shown: Preview,
    facts: DataFacts | None,
    baselines: Sequence[BaselineFacts] | None,
) -> dict[str, Any]:
    """Return the facts without the example of a column, which is a cell."""
    return {
        "spec": loaded.spec.model_dump(mode="json"),
        "unnamed": sorted(loaded.unnamed),
        "cells": shown.n_cells,
        "first": [dict(params) for params in shown.first],
        "warnings": [
            {"line": w.line, "column": w.column, "path": w.path, "message": w.message}
            for w in loaded.warnings
        ],
        "data": facts
        and {
            **asdict(facts),
            "columns": [
                {name: value for name, value in asdict(column).items() if name != "example"}
                for column in facts.columns
            ],
        },
        "baselines": baselines and [asdict(baseline) for baseline in baselines],
    }


def render_check(loaded: LoadedStudyFile, shown: Preview, width: int | None = None) -> str:
    """Render the resolved spec, why it has its defaults, and the params of the first trials."""
    spec = loaded.spec
    lines = [f"{spec.name}: valid", "", *_resolved(spec.model_dump(mode="json"))]
    budget = {
        f"{spec.step_noun}s": spec.budget.epochs,
        "minutes": spec.budget.time_seconds,
        "device hours": spec.budget.gpu_seconds,
    }
    limited = [amount for amount, limit in budget.items() if limit is not None]
    reasons = explain_defaults(loaded.unnamed, limited)
    if reasons:
        lines += ["", *reasons]
    if shown.n_cells is not None:
        lines += ["", f"the grid has {count(shown.n_cells, 'cell')}"]
    would = "would begin with" if shown.is_exact else "would begin with params such as"
    lines += ["", f"{spec.sampler.name} {would}", _render_params(shown.first, width)]
    return "\n".join(lines)


def _resolved(stored: dict[str, Any]) -> list[str]:
    """Render one line a value, without unset parts."""
    rows = _flat("", stored)
    width = max(len(path) for path, _ in rows)
    return [f"  {path.ljust(width)}  {text}" for path, text in rows]


def _flat(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and path.count(".") < 1:
        prefix = f"{path}." if path else ""
        parts = _set_parts(value, is_params=path == "params")
        return [row for key, part in parts for row in _flat(f"{prefix}{key}", part)]
    return [(one_line(path), _inline(value, is_params=path == "enqueue"))]


def _set_parts(given: dict[str, Any], *, is_params: bool) -> list[tuple[str, Any]]:
    """Return the keys that are set: null is a value of a param, and means "not set" elsewhere."""
    return [(k, v) for k, v in given.items() if is_params or v not in (None, {}, [])]


def _inline(value: Any, *, is_params: bool = False) -> str:
    if isinstance(value, dict):
        parts = _set_parts(value, is_params=is_params)
        return f"{{{', '.join(f'{k}: {_inline(v)}' for k, v in parts)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_inline(part, is_params=is_params) for part in value)}]"
    return render_value(value)


def _render_params(first: Sequence[Params], width: int | None) -> str:
    names = list(dict.fromkeys(name for params in first for name in params))
    rows = [
        [f"  {render_value(params[names[0]]) if names[0] in params else ''}"]
        + [render_value(params[name]) if name in params else "" for name in names[1:]]
        for params in first
    ]
    header = [f"  {one_line(names[0])}", *map(one_line, names[1:])]
    return render_table(header, rows, width)
