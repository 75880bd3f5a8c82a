"""`report:` of a command: where the metrics of its steps are."""

from collections.abc import Mapping
from typing import Annotated, Any

from tuner.study_file.frozen import Model
from tuner.study_file.keys import Key, keyed_fields, read_fields
from tuner.study_file.kinds.command.placeholders import names_in, text_fault
from tuner.study_file.schema.parts import Schema
from tuner.study_file.text.faults import listed, quote
from tuner.study_file.text.items import Item, Keys, has_refused_key, read_section, read_text
from tuner.study_file.values import Text, Value, Whole

COUNT = "count"  # `step: count`: every match is the next step
_MAX_PATTERN = 2000  # characters
_MAX_MEMORY = 8 << 20  # bytes of a compiled pattern
_SOURCES = ("pattern", "jsonl", "csv", "tensorboard")


def compile_pattern(pattern: str) -> Any:
    """Compile a pattern of RE2, whose time is linear in the line; raises `ValueError`."""
    import re2  # noqa: PLC0415 - only studies with a pattern need it

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(_reason(error)) from error


class Pattern(Value):
    """A regular expression with named groups."""

    def read(self, item: Item) -> str | None:
        text = read_text(item, "must be a regular expression")
        if text is None:
            return None
        if len(text) > _MAX_PATTERN:
            item.fault(f"is longer than {_MAX_PATTERN} characters; shorten it")
            return None
        try:
            compile_pattern(text)
        except ValueError as error:
            item.fault(f"is no regular expression of RE2 ({error})")
            return None
        return text

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": _MAX_PATTERN}


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    is_unsupported = "perl operator" in text or "escape sequence" in text
    return f"{text}; look-around and back references do not exist there" if is_unsupported else text


class Path(Value):
    """A path relative to the study file, with placeholders."""

    def read(self, item: Item) -> str | None:
        text = read_text(item, "must be a path")
        fault = text_fault(text) if text else ""
        if text and not fault and "args" in names_in(text):
            fault = "`{args}` is no part of a path"
        if fault:
            item.fault(fault)
        return None if fault else text

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1}


class Report(Model):
    """The one place from which a program's reports are read."""

    pattern: Annotated[
        str | None,
        Key(
            Pattern(),
            "regular expression of RE2 for a line of output, with the groups `step` and the metric",
        ),
    ] = None
    jsonl: Annotated[str | None, Key(Path(), "file to which a JSON object per step is added")] = (
        None
    )
    csv: Annotated[str | None, Key(Path(), "CSV file with a head and a row per step")] = None
    tensorboard: Annotated[str | None, Key(Path(), "folder of TensorBoard's event files")] = None
    step: Annotated[
        str | None,
        Key(
            Text("must name the step's column, such as epoch"),
            "name of the step in a file (`step`); for a pattern `count` makes every match a step",
        ),
    ] = None
    first_step: Annotated[int, Key(Whole(0, 1), "number of the program's first step: 0 or 1")] = 1

    @property
    def source(self) -> str:
        """Return the key that names the place."""
        return next(name for name in _SOURCES if getattr(self, name) is not None)

    @property
    def location(self) -> str:
        """Return the pattern or the path."""
        return str(getattr(self, self.source))

    @property
    def step_name(self) -> str:
        return self.step or "step"

    @property
    def groups(self) -> Mapping[str, int] | None:
        """Return the named groups of the pattern; None without one."""
        return None if self.pattern is None else dict(compile_pattern(self.pattern).groupindex)


def read_report(item: Item) -> Report | None:
    """Read where the reports are; None after a fault."""
    section = read_section(item, Keys(allowed=tuple(keyed_fields(Report))))
    if section is None:
        return None
    if len(section.keys() & set(_SOURCES)) != 1:
        if not has_refused_key(item, section):
            item.fault(f"must have exactly one of {listed(_SOURCES)}")
        return None
    values = read_fields(section, Report)
    if len(values) < len(section):
        return None
    report = Report(**values)
    fault = _step_fault(report)
    if fault:
        item.fault(fault)
    return None if fault else report


def _step_fault(report: Report) -> str:
    groups = report.groups
    if groups is None:
        return ""
    if report.step not in (None, COUNT):
        return f"step is {quote(str(report.step))}; a pattern has a group `step`, or `step: count`"
    if "step" not in groups and report.step != COUNT:
        return (
            r"the pattern has no group `step`; add (?P<step>\d+), or `step: count` if every match "
            "is one step"
        )
    if "step" in groups and report.step == COUNT:
        return "the pattern has a group `step`; remove `step: count`"
    return ""
