"""`tuner init [DIR]`."""

import argparse
import json
import re
import shlex
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources
from pathlib import Path

from tuner.cli.command_study import CommandStudy, render_command_study
from tuner.cli.program_options import find_others, guess_options, read_help
from tuner.cli.text.words import one_line
from tuner.errors import RunFailed, UsageError
from tuner.study.command_line import file_word, quote_word
from tuner.study_file.schema.document import build_schema

STUDY, CODE, SCHEMA = "study.yaml", "train.py", "study.schema.json"


class Beginning(StrEnum):
    """The objective of a first study; the values are options of the command."""

    TRAINER = "trainer"  # none of them
    CODE = "code"
    LIGHTNING = "lightning"
    HUGGING_FACE = "hf"


CODE_TEMPLATES: Mapping[Beginning, tuple[str, str]] = {  # study file and code
    Beginning.CODE: ("study-with-code.yaml", "train.py.txt"),
    Beginning.LIGHTNING: ("study-with-lightning.yaml", "train-lightning.py.txt"),
    Beginning.HUGGING_FACE: ("study-with-hugging-face.yaml", "train-hugging-face.py.txt"),
}


def execute(options: argparse.Namespace) -> int:
    """Write a study that runs, and show the next command."""
    folder = Path(options.folder)
    beginning = _chosen(options)
    advice = ""
    if options.program is None:
        files = build_files(study_name(folder), beginning)
    else:
        study = _study_of_command(folder, options)
        files, advice = {STUDY: study.text, SCHEMA: _schema()}, study.advice
    write_files(folder, files)
    if options.json:
        written = [str(folder / name) for name in files]
        print(json.dumps({"files": written, "advice": advice or None}))
        return 0
    for name in files:
        print(f"wrote {folder / name}")
    if advice:
        print(f"note: {one_line(advice)}")
    file = quote_word(file_word(str(folder / STUDY)))
    print(f"next: tuner check {file}, then tuner run {file}")
    return 0


def study_name(folder: Path) -> str:
    """Return the folder's name, adapted to the rules of study names."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.absolute().name, flags=re.ASCII).strip(".-")
    return name[:64] or "study"


def _chosen(options: argparse.Namespace) -> Beginning:
    """Return the chosen beginning; raise `UsageError` for two kinds of objectives."""
    chosen = [kind for kind in CODE_TEMPLATES if getattr(options, kind)]
    words = [f"--{kind}" for kind in chosen] + ["--command"] * (options.program is not None)
    if len(words) > 1:
        raise UsageError(f"{words[0]} and {words[1]} are two kinds of objectives; choose one")
    return chosen[0] if chosen else Beginning.TRAINER


def build_files(name: str, beginning: Beginning) -> dict[str, str]:
    """Return names and contents."""
    study, code = CODE_TEMPLATES.get(beginning, ("study.yaml", ""))
    files = {STUDY: _template(study).replace("NAME", name)}
    if code:
        files[CODE] = _template(code)
    files[SCHEMA] = _schema()
    return files


def _schema() -> str:
    return json.dumps(build_schema(), indent=1) + "\n"


def _study_of_command(folder: Path, options: argparse.Namespace) -> CommandStudy:
    """Run a program's help and return a study file with its options as guesses."""
    try:
        words = shlex.split(options.program)
    except ValueError as error:
        raise UsageError(f"--command: {error}") from error
    if not words:
        raise UsageError('--command is empty; write --command "python main.py"')
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name the one from which the command runs")
    text = read_help(words, folder)
    guesses = guess_options(text)
    return render_command_study(study_name(folder), words, guesses, find_others(text, guesses))


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Write the files; raises `UsageError` if one of them exists, and writes nothing then."""
    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise UsageError(
            f"{folder / there[0]} is there already; tuner init overwrites nothing, "
            "name another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise RunFailed(f"cannot write into {folder} ({error.strerror})") from error


def _template(name: str) -> str:
    return (resources.files("tuner.cli") / "templates" / name).read_text(encoding="utf-8")
