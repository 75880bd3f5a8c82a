"""`tuner init [DIR]`."""

import argparse
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import resources
from pathlib import Path

from tuner.cli.program_options import ProgramOption, guess_options, read_help
from tuner.errors import RunFailed, UsageError
from tuner.study.command_line import file_word, quote_word
from tuner.study_file.schema.document import build_schema
from tuner.study_file.text.yaml_text import core_value

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
    if options.program is None:
        files = build_files(study_name(folder), beginning)
    else:
        files = _files_of_command(folder, options)
    write_files(folder, files)
    if options.json:
        print(json.dumps({"files": [str(folder / name) for name in files]}))
        return 0
    for name in files:
        print(f"wrote {folder / name}")
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
    files[SCHEMA] = json.dumps(build_schema(), indent=1) + "\n"
    return files


def _files_of_command(folder: Path, options: argparse.Namespace) -> dict[str, str]:
    """Run a program's help and return a study file with its options as guesses."""
    try:
        words = shlex.split(options.program)
    except ValueError as error:
        raise UsageError(f"--command: {error}") from error
    if not words:
        raise UsageError('--command is empty; write --command "python main.py"')
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name the one from which the command runs")
    guesses = guess_options(read_help(words, folder))
    if not any(guess.range for guess in guesses):
        raise UsageError(
            f"the help of {options.program} shows no option with a number to search; write the "
            "study file yourself, see `Your own program` in studies/README.md"
        )
    text = render_command_study(study_name(folder), words, guesses)
    return {STUDY: text, SCHEMA: json.dumps(build_schema(), indent=1) + "\n"}


def render_command_study(name: str, words: Sequence[str], guesses: Sequence[ProgramOption]) -> str:
    """Render a study file for a program and its options."""
    fixed = [word.replace("{", "{{").replace("}", "}}") for word in words]
    passed = [word for guess in guesses for word in (guess.flag, f"{{{guess.name}}}")]
    lengths = [guess for guess in guesses if guess.name == "epochs"]
    params = "".join(f"params: {{{guess.name}: {guess.default}}}\n" for guess in lengths)
    space = [
        f"  {guess.name}: {guess.range}  # a guess"
        + (f" around the default {guess.default}" if guess.default else "")
        for guess in guesses
        if guess.range
    ]
    values = {
        "NAME": name,
        "COMMAND": f"[{', '.join(map(_yaml_word, [*fixed, *passed]))}]",
        "PARAMS": params,
        "SPACE": "\n".join(space),
    }
    pattern = re.compile("|".join(values))
    return pattern.sub(lambda match: values[match[0]], _template("study-with-command.yaml"))


def _yaml_word(word: str) -> str:
    is_plain = re.fullmatch(r"[A-Za-z_./-][\w./=+-]*", word) and core_value(word) == word
    return word if is_plain else json.dumps(word)


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
