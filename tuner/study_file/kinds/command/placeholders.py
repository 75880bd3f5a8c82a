"""Placeholders such as `{learning_rate}` in the arguments of a command."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from tuner.study.trial import PARAM_NAME
from tuner.study_file.text.faults import quote

# Placeholders that are no params, with their meanings.
BUILT_IN: Mapping[str, str] = {
    "args": "all params as arguments, see `args_style`; an argument of its own",
    "params_json": "path of a JSON file with all params",
    "params_yaml": "path of a YAML file with all params",
    "config": "path of a copy of your `config` with the params written over its keys",
    "trial_dir": "folder of the trial, which stays on this machine",
    "checkpoint_dir": "folder whose content continues with the trial on any machine",
    "seed": "seed of the trial, a whole number below 2^31",
    "trial": "number of the trial",
    "python": "the Python that runs tuner",
}
ALL_PARAMS = frozenset({"args", "params_json", "params_yaml"})  # each uses every param

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SCRIPT_FLAG = re.compile(r"-[A-Za-z]*c")
_HIDES_PROGRAM = re.compile(r"-[A-VYZabd-ln-z]*[cm].*")  # `-c`, or `-um` and `-mmodule` in one word
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish"})
_WITH_C = _SHELLS | {"python", "pypy"}
_WITH_E = frozenset({"perl", "ruby", "node", "nodejs", "Rscript", "R", "lua", "julia"})
_OTHER = re.compile(r"-[rIMLC]|--(require|import|loader|project|threads)")
# Options whose value is the next argument.
_TAKES_VALUE = {
    "sh": re.compile(r"[-+][A-Za-z]*[oO]|--(rcfile|init-file)"),
    "python": re.compile(r"-[A-Za-z]*[XW]|--check-hash-based-pycs"),
    "pypy": re.compile(r"-[A-Za-z]*[XW]"),
    **dict.fromkeys(_WITH_E, _OTHER),
}


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of the placeholders in a text, in their order."""
    return tuple(match[1] for match in _PART.finditer(text) if match[1] is not None)


def text_fault(text: str) -> str:
    """Return the fault of a text with placeholders, or nothing."""
    for match in _PART.finditer(text):
        if match[0] in "{}":
            return f"{quote(text)} has a single brace; write {match[0] * 2} for a brace"
        if match[1] is not None and not PARAM_NAME.fullmatch(match[1]):
            return (
                f"{quote(match[0])} is no placeholder; write the name of a param in braces, and "
                "{{ and }} for braces"
            )
    if "\0" in text:
        return "a NUL character cannot be passed to a program"
    return ""


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders of a text without faults; every name must have a value."""
    return _PART.sub(lambda match: _filled(match, values), text)


def _filled(match: "re.Match[str]", values: Mapping[str, str]) -> str:
    return match[0][0] if match[1] is None else values[match[1]]


def command_faults(words: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Yield the faults of a command as pairs of a word's index and a sentence."""
    for index, word in enumerate(words):
        names = names_in(word)
        if fault := text_fault(word):
            yield index, fault
        elif index == 0 and any(name != "python" for name in names):
            yield index, "the program itself is fixed; use placeholders in its arguments"
        elif "args" in names and word != "{args}":
            yield index, "`{args}` stands for several arguments; make it an argument of its own"
        elif names and _is_script(words, index):
            yield (
                index,
                "a placeholder in a script would be run as a part of it; pass it as an argument "
                "after the script, or in `env:`",
            )


def _is_script(words: Sequence[str], index: int) -> bool:
    """Return whether a word is the script after `sh -c`, `python -c` or `node -e`."""
    at = index - 1
    while at > 0 and words[at] == "--":
        at -= 1
    return any(
        _is_flag_of_script(_program_of(words[start]), words[at])
        and _are_options(_program_of(words[start]), words[start + 1 : at])
        for start in range(at)
    )


def _program_of(word: str) -> str:
    """Return the name of a program without its version: `python` for `/usr/bin/python3.11`."""
    return "python" if word == "{python}" else re.sub(r"[\d.]+$", "", PurePath(word).name)


def is_interpreter(word: str) -> bool:
    """Return whether a program runs the script that its first argument names."""
    return _program_of(word) in _WITH_C | _WITH_E


def find_python_program(words: Sequence[str]) -> int | None:
    """Return the index of the script, or of `-m`, that follows a Python and its options.

    None: the command begins with another program, with `python -c`, or in a way that hides it.
    """
    if _program_of(words[0]) != "python":
        return None
    for index in range(1, len(words)):
        if not _are_options("python", words[1 : index + 1]):
            return index
        if words[index] == "-m":
            return index if len(words) > index + 1 else None
        if words[index] in ("-", "--") or _HIDES_PROGRAM.fullmatch(words[index]):
            return None
    return None


def _is_flag_of_script(program: str, flag: str) -> bool:
    if program in _WITH_C:
        return bool(_SCRIPT_FLAG.fullmatch(flag))
    return program in _WITH_E and flag in ("-e", "-E", "-p", "-pe", "-ne", "--eval", "--print")


def _are_options(program: str, words: Sequence[str]) -> bool:
    """Return whether all words are options of an interpreter; otherwise one is its script."""
    takes_value = _TAKES_VALUE["sh" if program in _SHELLS else program]
    is_value = False
    for word in words:
        if is_value:
            is_value = False
        elif not word.startswith(("-", "+")):
            return False
        else:
            is_value = bool(takes_value.fullmatch(word))
    return True
