"""Optuna's `suggest_*`, answered from the params of the trial."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.study.seeds import derive_seed
from tuner.study.trial import PARAM_NAME, ParamValue
from tuner.study_file.text.faults import did_you_mean, quote
from tuner.study_file.text.yaml_text import render_inline
from tuner.trial.asked import Written, ask_choice, ask_float, ask_int, draw, is_same_range, pick
from tuner.trial.ends import Mistake
from tuner.trial.values import kind_of

log = logging.getLogger(__name__)


class Suggestions:
    """The half of `Trial` that serves objectives written for Optuna."""

    params: dict[str, ParamValue]
    seed: int

    def __init__(self, space: Mapping[str, Written] | None, *, is_drawing: bool) -> None:
        """Build it from the study's space as written; None if it is not known.

        `is_drawing`: params that are not given are drawn from the seed.
        """
        self._space = space
        self._is_drawing = is_drawing
        self._compared: set[str] = set()
        self.is_asked = False  # for params, as Optuna's objectives do

    def suggest_float(
        self, name: str, low: float, high: float, step: float | None = None, log: bool = False
    ) -> float:
        """Return the param of this name; the study file's range applies."""
        value = self._suggest(name, ask_float(name, low, high, step, log))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Mistake(f"{name} is {quote(value)}, and suggest_float returns a number")
        return float(value)

    def suggest_int(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """Return the param of this name; the study file's range applies."""
        asked = ask_int(name, low, high, step, log)
        value = self._suggest(name, asked)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise Mistake(
                f"{name} is {quote(value)}, and suggest_int returns a whole number; the study "
                f"file needs the line `{_line(name, asked)}`"
            )
        return int(value)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the param of this name, as an element of `choices`."""
        asked = ask_choice(name, choices)
        if name not in self.params and self._is_drawing:
            chosen = int(draw(asked, self._seed_of(name)))
            self.params[name] = asked["choice"][chosen]
        return pick(choices, self._suggest(name, asked))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """`suggest_float` by its old name."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """`suggest_float` with `log` by its old name."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """`suggest_float` with a step by its old name."""
        return self.suggest_float(name, low, high, step=q)

    @property
    def relative_params(self) -> dict[str, ParamValue]:
        """Return the params, by Optuna's name for those that its sampler proposed together."""
        return dict(self.params)

    def _suggest(self, name: str, asked: Written) -> ParamValue:
        self.is_asked = True
        if name not in self.params:
            if not self._is_drawing:
                raise Mistake(self._why_unknown(name, asked))
            self.params[name] = draw(asked, self._seed_of(name))
        elif name not in self._compared:
            self._compare(name, asked)
        self._compared.add(name)
        return self.params[name]

    def _seed_of(self, name: str) -> int:
        return derive_seed(self.seed, "suggest", name)

    def _compare(self, name: str, asked: Written) -> None:
        """Warn once if the code asks for another range than the study file has."""
        given = (self._space or {}).get(name)
        if given is not None and not is_same_range(asked, given):
            shown = {key: value for key, value in given.items() if key != "when"}
            log.warning(
                "%s: the code asks for %s, the study file has %s; the study file's range counts",
                name,
                render_inline(asked),
                render_inline(shown),
            )

    def _why_unknown(self, name: object, asked: Written) -> str:
        if not isinstance(name, str):
            return f"a param's name is text, not a {kind_of(name)}"
        if not PARAM_NAME.fullmatch(name):
            better = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:64] or "x"
            return f"no study file can have a param of the name {quote(name)}; call it {better}"
        if self._space is None:
            return f"the params hold no {name}; add it to them"
        if name in self._space:
            when = {key: list(values) for key, values in self._space[name]["when"].items()}
            return (
                f"{name} does not apply to this trial: the study file says "
                f"`when: {render_inline(when)}`; ask for it only then, or remove its `when`"
            )
        guess = did_you_mean(name, {*self._space, *self.params})
        return (
            f"the study file has no param {name}; add the line `{_line(name, asked)}` to its "
            f"search_space{guess}"
        )


def _line(name: str, asked: Written) -> str:
    return f"{name}: {render_inline(asked)}"
