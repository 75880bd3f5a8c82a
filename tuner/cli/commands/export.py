"""`tuner export STUDY`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tuner.cli.database import open_existing
from tuner.cli.streams import print_data
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import flat, one_line, render_value
from tuner.errors import UsageError
from tuner.export.best_config import Exported, Wanted, export_trials
from tuner.export.writing import Format, Written, render, write_exports
from tuner.results.best import By, confirm_command
from tuner.study.command_line import file_word, quote_word


def execute(options: argparse.Namespace) -> int:
    """Write the best trials' configs, or print them."""
    wanted, form = _wanted(options), Format(options.format)
    with open_existing(options.storage) as database:
        trials = export_trials(database, options.study, wanted)
    if options.output is None:
        print_data(_joined([render(trial, form) for trial in trials], form))
        for trial in trials:
            _note(trial, is_best=options.trial is None, file=options.file)
        return 0
    written = write_exports(trials, Path(options.output), form)
    if options.json:
        print(render_json([_json(each) for each in written], indent=2))
    for each in written:
        print(_line(each), file=sys.stderr)
        _note(each.exported, is_best=options.trial is None, file=options.file)
    if not options.json:
        file = quote_word(file_word(str(written[0].path)))
        allow = (
            "" if written[0].exported.config.objective.command_line is None else " --allow-command"
        )
        print(f"next: tuner train {file}{allow}", file=sys.stderr)
    return 0


def _wanted(options: argparse.Namespace) -> Wanted:
    if options.weights and options.output is None:
        raise UsageError("--weights writes a second file next to the first; add -o best.yaml")
    if options.weights and options.format != Format.YAML:
        raise UsageError("--weights is for tuner train, which reads YAML; leave --format out")
    if options.json and options.output is None:
        raise UsageError(
            "--json describes the written files; to print the config, use --format json"
        )
    return Wanted(
        number=options.trial,
        n_top=options.top or 1,
        by=By(options.by) if options.by else None,
        has_weights=options.weights,
        study_file=None if options.file is None else Path(options.file),
        params_only=options.format == Format.ENV,
    )


def _joined(texts: Sequence[str], form: Format) -> str:
    """Join several trials for standard output."""
    match form:
        case Format.YAML:
            return "---\n".join(texts)
        case Format.JSON:
            parts = [text.rstrip("\n") for text in texts]
            return texts[0] if len(texts) == 1 else f"[{', '.join(parts)}]\n"
        case Format.ENV:
            return "\n".join(texts)


def _line(written: Written) -> str:
    exported = written.exported
    value = f", {exported.config.metric} {render_value(exported.value)}"
    weights = f"; its weights: {written.weights}" if written.weights else ""
    return one_line(f"{written.path}: trial {exported.number}{value}{weights}")


def _note(exported: Exported, *, is_best: bool, file: str | None) -> None:
    confirmed = exported.config.provenance.get("confirmed")
    if confirmed is not None:
        print(f"note: confirmed by study {one_line(confirmed['by'])}", file=sys.stderr)
    elif is_best:
        config = exported.config
        command = confirm_command(config.name, needs_study_file=config.needs_study_file, file=file)
        print(f"note: not confirmed; run {command}", file=sys.stderr)
    if exported.config.needs_study_file:
        print(
            "note: it names code or files, relative to the file: keep them together",
            file=sys.stderr,
        )
    if exported.is_so_far:
        print(
            f"note: study {flat(exported.config.name)} continues; this is the best so far",
            file=sys.stderr,
        )


def _json(written: Written) -> dict[str, object]:
    return {
        "file": str(written.path),
        "trial": written.exported.number,
        "value": written.exported.value,
        "is_so_far": written.exported.is_so_far,
        "weights": str(written.weights) if written.weights else None,
    }
