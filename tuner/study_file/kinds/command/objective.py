"""The record of a command, as stored."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tuner.study.trial import Params, ParamValue, full_length
from tuner.study_file.keys import Key
from tuner.study_file.kinds.command.placeholders import ALL_PARAMS, BUILT_IN, names_in
from tuner.study_file.kinds.command.report import Report
from tuner.study_file.kinds.command.values import Environment, Words
from tuner.study_file.kinds.objective import Objective
from tuner.study_file.params.space import SearchSpace
from tuner.study_file.values import OneOf, Text

ARGS_STYLES = ("space", "equals", "hydra")


class CommandObjective(Objective):
    """A program and its arguments, with placeholders for the params."""

    kind: ClassVar[str] = "command"
    noun: ClassVar[str] = "program"
    max_lanes: ClassVar[int] = 1
    has_prepared_data: ClassVar[bool] = False
    counts_epochs: ClassVar[bool] = False

    command: Annotated[
        tuple[str, ...], Key(Words(), "program and arguments; `{name}` is the value of a param")
    ]
    report: Annotated[
        Report | None, Key(None, "where the metrics are, see below; none: lines of `tuner.report`")
    ] = None
    args_style: Annotated[
        str,
        Key(OneOf(ARGS_STYLES), "form of `{args}`: `--name value`, `--name=value` or `name=value`"),
    ] = "space"
    env: Annotated[
        Mapping[str, str], Key(Environment(), "environment variables, with placeholders")
    ] = {}
    config: Annotated[
        str | None,
        Key(
            Text("must be the path of a YAML or JSON file"),
            "config of your program, of which `{config}` is a copy with the params of the trial",
        ),
    ] = None

    @property
    def code_names(self) -> tuple[str, ...]:
        return ()

    @property
    def path_names(self) -> tuple[str, ...]:
        return () if self.config is None else (self.config,)

    @property
    def local_names(self) -> tuple[str, ...]:
        return (self.command_line, *self.path_names)

    @property
    def local_use(self) -> tuple[str, str]:
        return "runs a command of your own", "the command that runs"

    @property
    def command_line(self) -> str:
        """Return the command for people, with its placeholders."""
        return shlex.join(self.command)

    @property
    def seed_advice(self) -> str:
        if "seed" in self.placeholders:
            return "let the program seed all generators with the {seed} of its command"
        return (
            'pass the seed to the program with "{seed}" in its command, or let it read the '
            "variable TUNER_SEED"
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """Return all texts that may have placeholders."""
        is_path = self.report is not None and self.report.pattern is None
        location = (self.report.location,) if self.report is not None and is_path else ()
        return (*self.command, *self.env.values(), *location)

    @property
    def placeholders(self) -> frozenset[str]:
        """Return the names of all placeholders."""
        return frozenset(name for text in self.texts for name in names_in(text))

    @property
    def takes_all_params(self) -> bool:
        """Return whether a placeholder passes every param."""
        return bool(self.placeholders & ALL_PARAMS)

    @property
    def params_named(self) -> frozenset[str]:
        """Return the params that have placeholders of their own."""
        return self.placeholders - BUILT_IN.keys()

    @classmethod
    def complete(cls, params: Params) -> dict[str, ParamValue]:
        return dict(params)

    def written(self) -> Any:
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)

    def n_steps(self, params: Params) -> int | None:
        return full_length(params)

    def structural_params(self, params: Params, space: SearchSpace) -> frozenset[str]:
        return frozenset()

    def preparation(self, params: Params, space: SearchSpace, folder: Path) -> dict[str, Any]:
        """Request a look at the program and the files that the command names."""
        return {"command": list(self.command), "config": self.config, "folder": str(folder)}
