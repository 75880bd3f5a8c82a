"""A first study file for a program: its options as guesses, or the ways to pass params to it."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from tuner.cli.program_options import ProgramOption
from tuner.study_file.text.yaml_text import core_value

_MAX_OTHERS = 6  # in one line
_VARIABLE, _EXAMPLE = "LEARNING_RATE", "learning_rate"
_WAYS = f"""\
  # The help of your program gives no option to search. It can take params in one of three ways:
  # - variables, which it reads, as with os.environ["{_VARIABLE}"] in Python:
  env: {{{_VARIABLE}: "{{{_EXAMPLE}}}"}}
  # - arguments: remove `env`, and add their placeholders to the command: --lr, "{{{_EXAMPLE}}}"
  # - a config file: remove `env`, write `config: FILE.yaml`, and add "{{config}}" to the command:
  #   the program gets a copy of FILE.yaml in which {_EXAMPLE} has the value of the trial.
  # For the length of a training, write `params: {{epochs: 10}}` and pass "{{epochs}}" in this way.
"""
_FREE_SPACE = f"  {_EXAMPLE}: {{float: [1e-4, 1e-1], log: true}}  # an example"


@dataclass(frozen=True, kw_only=True)
class CommandStudy:
    """The text of a study file, and what the program still needs."""

    text: str
    advice: str = ""  # a sentence; empty if nothing is missing


def render_command_study(
    name: str,
    words: Sequence[str],
    guesses: Sequence[ProgramOption],
    others: Sequence[str] = (),
) -> CommandStudy:
    """Render a study file for a program and its options.

    An option that the command sets already keeps its value; the number of epochs becomes a fixed
    param, because tuner can use it. `others` are options of the program that are left out.
    """
    given = {guess.name: found for guess in guesses if (found := guess.value_in(words))}
    command = [word.replace("{", "{{").replace("}", "}}") for word in words]
    params = ""
    for guess in guesses:
        if guess.name == "epochs":
            place, value = given.get("epochs", (-1, guess.default))
            if place < 0 or value.isdigit():
                params = f"params: {{epochs: {value}}}\n"
            if place >= 0 and value.isdigit():
                command[place] = command[place].removesuffix(value) + "{epochs}"
    free = [guess for guess in guesses if guess.name not in given]
    command += [word for guess in free for word in (guess.flag, f"{{{guess.name}}}")]
    space = [_range(guess) for guess in free if guess.range]
    shown = f"[{', '.join(map(_yaml_word, command))}]\n{_render_others(others)}"
    values = {
        "NAME": name,
        "COMMAND": f"{shown}{'' if space else _WAYS}".rstrip(),
        "PARAMS": params,
        "SPACE": "\n".join(space or [_FREE_SPACE]),
    }
    template = (resources.files("tuner.cli") / "templates" / "study-with-command.yaml").read_text(
        encoding="utf-8"
    )
    text = re.sub("|".join(values), lambda match: values[match[0]], template)
    return CommandStudy(text=text, advice="" if space else _advice(words))


def _render_others(flags: Sequence[str]) -> str:
    more = ", ..." if len(flags) > _MAX_OTHERS else ""
    listed = ", ".join(flags[:_MAX_OTHERS])
    return f"  # Options of the program that are left out: {listed}{more}\n" if flags else ""


def _range(guess: ProgramOption) -> str:
    around = f" around the default {guess.default}" if guess.default else ""
    return f"  {guess.name}: {guess.range}  # a guess{around}"


def _advice(words: Sequence[str]) -> str:
    return (
        f"the help of {shlex.join(words)} gives no option to search: let the program read the "
        f"variable {_VARIABLE}, or pass params in another way that the study file shows"
    )


def _yaml_word(word: str) -> str:
    is_plain = re.fullmatch(r"[A-Za-z_./-][\w./=+-]*", word) and core_value(word) == word
    return word if is_plain else json.dumps(word)
