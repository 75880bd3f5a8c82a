"""`tuner init [DIR]`."""

import argparse
import json
import re
from importlib import resources
from pathlib import Path

from tuner.errors import RunFailed, UsageError
from tuner.study.command_line import file_word, quote_word
from tuner.study_file.schema.document import build_schema

STUDY, CODE, SCHEMA = "study.yaml", "train.py", "study.schema.json"


def execute(options: argparse.Namespace) -> int:
    """Write a study that runs, and show the next command."""
    folder = Path(options.folder)
    files = build_files(study_name(folder), with_code=options.code)
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


def build_files(name: str, *, with_code: bool) -> dict[str, str]:
    """Return names and contents."""
    template = "study-with-code.yaml" if with_code else "study.yaml"
    files = {STUDY: _template(template).replace("NAME", name)}
    if with_code:
        files[CODE] = _template("train.py.txt")
    files[SCHEMA] = json.dumps(build_schema(), indent=1) + "\n"
    return files


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
