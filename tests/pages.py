"""The pages for readers, and the parts of them that come from the code.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`. Its tables come from
the code, except for a column that is named in `HAND_WRITTEN`: the page is the only place of its
cells, and they are kept. `python -m tests.pages` writes all parts again.
"""

import argparse
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tuner.cli.parser.build import build_parser
from tuner.study.trial import Direction
from tuner.study_file.algorithms.reading import (
    _WRAPPED,
    PRUNERS,
    SAMPLERS,
    Setting,
    read_pruner,
    read_sampler,
)
from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.sources import SOURCES, TableData
from tuner.study_file.data.split import SplitRule
from tuner.study_file.frozen import Model
from tuner.study_file.keys import key_schema, keyed_fields, record_schema
from tuner.study_file.kinds.command.placeholders import BUILT_IN
from tuner.study_file.kinds.command.report import Report
from tuner.study_file.params.trainer_params import (
    DATA_SETS,
    OBJECTIVES,
    TRAINER_PARAMS,
    TrainerParam,
)
from tuner.study_file.schema.document import build_schema
from tuner.study_file.text.intervals import Interval
from tuner.study_file.values import OneOf

ROOT = Path(__file__).parents[1]
COMMON_OPTIONS = {"--help", "--storage", "--require-tls", "--json"}  # described once for all
HAND_WRITTEN = {"meaning", "stops a trial"}
PART = re.compile(r"(<!-- generated: (.+?) -->\n)(.*?)(<!-- end -->\n)", re.S)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)

Row = Sequence[str]


def find_pages() -> list[Path]:
    """Every page: one at the top, the others next to the files or packages they describe."""
    return [ROOT / "README.md", ROOT / "studies" / "README.md", *sorted(_package_pages())]


def _package_pages() -> Iterator[Path]:
    return (ROOT / "tuner").rglob("README.md")


def render_part(name: str, old: str) -> str:
    """The part of this name; `old` holds its hand-written cells."""
    kind, _, argument = name.partition(" ")
    if kind == "command":
        return render_command(argument, find_commands()[argument])
    header, rows = TABLES[name]()
    return render_table(header, rows, _kept_cells(old))


def update(text: str) -> str:
    """A page with all generated parts written again."""
    return PART.sub(lambda found: found[1] + render_part(found[2], found[3]) + found[4], text)


def render_table(header: Row, rows: Sequence[Row], kept: Mapping[str, str]) -> str:
    """A Markdown table. Where a row lacks the last column, its cell is the hand-written one."""
    if header[-1] in HAND_WRITTEN:
        rows = [row if len(row) == len(header) else (*row, kept.get(row[0], "")) for row in rows]
    rule = "|" + "---|" * len(header)
    return "\n".join([_render_row(header), rule, *map(_render_row, rows), ""])


def _render_row(cells: Row) -> str:
    return f"| {' | '.join(cells)} |"


def _kept_cells(table: str) -> dict[str, str]:
    """The last cell of each row by its first one."""
    rows = [split_row(line) for line in table.splitlines()[2:]]
    return {row[0]: row[-1] for row in rows}


def split_row(line: str) -> list[str]:
    """The cells of a row; `\\|` is part of a cell."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def code(text: object) -> str:
    """Inline code that may stand in a table."""
    return f"`{text}`".replace("|", "\\|")


# --- commands ---


@cache
def find_commands() -> Mapping[str, argparse.ArgumentParser]:
    """Every command by its name, such as `run` or `db url`."""
    return _commands_below(build_parser(), "")


def _commands_below(
    parser: argparse.ArgumentParser, prefix: str
) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for name, command in _choices(parser).items():
        found |= _commands_below(command, f"{prefix}{name} ") or {prefix + name: command}
    return found


def _choices(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return groups[0].choices if groups else {}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """All spellings of a command's options."""
    return {name for action in parser._actions for name in action.option_strings}


def render_command(name: str, parser: argparse.ArgumentParser) -> str:
    """Summary, usage and arguments of a command, from its help."""
    actions = [a for a in parser._actions if not COMMON_OPTIONS & set(a.option_strings)]
    positional = "".join(f" {_usage(a)}" for a in actions if not a.option_strings)
    options = " [options]" if any(a.option_strings for a in actions) else ""
    lines = f"{parser.description}\n\n```text\ntuner {name}{positional}{options}\n```\n"
    if not actions:
        return lines
    rows = [(_argument(a), _one_line(a.help or "")) for a in actions]
    return lines + "\n" + render_table(("argument", "use"), rows, {})


def _usage(action: argparse.Action) -> str:
    metavar = str(action.metavar or action.dest)
    return {"?": f"[{metavar}]", "*": f"[{metavar} ...]"}.get(str(action.nargs), metavar)


def _argument(action: argparse.Action) -> str:
    if not action.option_strings:
        return code(action.metavar)
    value = "" if action.nargs == 0 else f" {action.metavar}"
    return ", ".join(code(f"{name}{value}") for name in action.option_strings)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _commands_table() -> tuple[Row, list[Row]]:
    rows = []
    for name, parser in find_commands().items():
        link = f"[{code(f'tuner {name}')}](#tuner-{name.replace(' ', '-')})"
        rows.append((link, _one_line(parser.description or "")))
    return ("command", "summary"), rows


# --- study files ---


def _keys_table() -> tuple[Row, list[Row]]:
    schema = build_schema()
    defaults = {"sampler": _name_of(read_sampler(None)), "pruner": _name_of(read_pruner(None))}
    rows: list[Row] = []
    for name, section in schema["properties"].items():
        is_required = name in schema["required"] and name != "search_space"
        default = "required" if is_required else defaults.get(name, "")
        rows += _rows_of_section(name, section, default)
    return ("key", "values", "default", "meaning"), rows


def _name_of(algorithm: Any) -> str:
    return code(algorithm.name)


_ON_THEIR_OWN = {"objective.data": "sources", "objective.split": "split"}
_ON_THEIR_OWN |= {
    "objective.prepare": "prepare",
    "objective.report": "report",
}  # keys with a table of their own


def _record_table(record: type[Model]) -> tuple[Row, list[Row]]:
    """The keys of a mapping."""
    rows: list[Row] = []
    for name, value in record_schema(record)["properties"].items():
        rows += _rows_of_value(name, value)
    return ("key", "values", "default", "meaning"), rows


def _placeholders_table() -> tuple[Row, list[Row]]:
    return ("placeholder", "stands for"), [(code(f"{{{n}}}"), BUILT_IN[n]) for n in BUILT_IN]


def _sources_table() -> tuple[Row, list[Row]]:
    """The sources, each with its own keys; those of all tables stand once."""
    rows: list[Row] = []
    shared = {n for n, f in keyed_fields(TableData).items()} | {"target", "drop", "weight", "types"}
    for source, record in SOURCES.items():
        found = keyed_fields(record)
        names = [source, *(n for n in found if n != source and n not in shared)]
        uses = ", ".join(code(name) for name in found if name in shared)
        for name in names:
            (row,) = _rows_of_value(name, key_schema(found[name]))
            cell = f"{row[3]}. Also: {uses}" if uses and name == source else row[3]
            rows.append((row[0], *row[1:3], cell))
    for name, field in keyed_fields(TableData).items():
        default = "required" if name in TableData.required else ""
        rows += _rows_of_value(name, key_schema(field), default)
    return ("key", "values", "default", "meaning"), rows


def _rows_of_section(name: str, section: Mapping[str, Any], default: str) -> Iterator[Row]:
    """A row for a key that holds a value, or one for each key below it."""
    match name:
        case "sampler":
            yield code(name), ", ".join(map(code, SAMPLERS)), default, section["description"]
        case "pruner":
            names = ", ".join(map(code, PRUNERS))
            yield code(name), f"{names}, or a list", default, section["description"]
        case "params":
            yield code("params.NAME"), _values(section["additionalProperties"]), ""
        case "search_space":
            ranges = section["additionalProperties"]["oneOf"]
            keys = {key: value for kind in ranges for key, value in kind["properties"].items()}
            order = sorted(keys, key=lambda key: key not in ("float", "int", "choice"))
            for key in order:
                yield code(f"search_space.NAME.{key}"), _range_values(key, keys[key]), ""
        case _:
            yield from _rows_of_value(name, section, default)


def _written(value: object) -> object:
    """A value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else value


def _rows_of_value(path: str, schema: Mapping[str, Any], default: str = "") -> Iterator[Row]:
    if path in _ON_THEIR_OWN:
        yield code(path), "a mapping", default
        return
    kinds = schema.get("anyOf", [schema])
    # A mapping with a single key is a value, such as {constant: 0}.
    is_variant = all(len(kind.get("properties", {})) < 2 for kind in kinds)
    scalars = [kind for kind in kinds if is_variant or "properties" not in kind]
    if scalars:
        given = code(_written(schema["default"])) if "default" in schema else default
        cells = code(path), ", ".join(filter(None, map(_values, scalars))), given
        is_goal = path in tuple(Direction)  # more to say than an editor needs
        has_doc = "description" in schema and not is_goal
        yield (*cells, schema["description"]) if has_doc else cells
    for kind in [] if is_variant else kinds:
        for key, value in kind.get("properties", {}).items():
            is_required = key in kind.get("required", ())
            yield from _rows_of_value(f"{path}.{key}", value, "required" if is_required else "")


def _range_values(key: str, schema: Mapping[str, Any]) -> str:
    return {
        "float": code("[low, high]"),
        "int": code("[low, high]"),
        "choice": "list of values",
        "near": f"a value, or {code('{range: [low, high]}')}",
        "when": f"{code('{CHOICE: value}')} or {code('{CHOICE: [values]}')}",
    }.get(key) or _values(schema)


def _values(schema: Mapping[str, Any]) -> str:
    """The values that a schema allows, in words."""
    if "const" in schema or "enum" in schema:
        return ", ".join(map(code, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema:
        return ", ".join(map(_values, schema["anyOf"]))
    match schema["type"]:
        case "integer" | "number" as kind:
            return _number(kind, schema)
        case "boolean":
            return f"{code('true')}, {code('false')}"
        case "array" | "object":
            return _parts(schema)
        case "string" if "90s" in schema.get("examples", ()):
            return "duration"
        case "string" if ":" in schema.get("pattern", ""):
            return f"{code('module:name')}, {code('path/file.py:name')}"
        case "string":
            return "text"
        case ["string", "number"]:
            return "text"
        case _:
            return "text, number, `true`, `false`, `null`"


_TEXT_OR_NUMBER = ["string", "number"]  # a plain number counts as text


def _parts(schema: Mapping[str, Any]) -> str:
    """A list or a mapping in words."""
    if "enum" in schema.get("items", ()):
        return f"list of {_values(schema['items'])}"
    if schema["type"] == "array":
        kinds = schema["items"].get("type")
        is_text = kinds in ("string", _TEXT_OR_NUMBER)
        return "list of texts" if is_text else "list of params"
    if schema.get("properties"):
        ((name, value),) = schema["properties"].items()
        return f"{code(f'{{{name}: ...}}')} ({_values(value)})"
    return f"a mapping from names to {_values(schema['additionalProperties'])}"


def _number(kind: str, schema: Mapping[str, Any]) -> str:
    interval = Interval(
        low=schema.get("minimum", schema.get("exclusiveMinimum", -math.inf)),
        high=schema.get("maximum", schema.get("exclusiveMaximum", math.inf)),
        is_open_low="exclusiveMinimum" in schema,
        is_open_high="exclusiveMaximum" in schema,
    )
    return f"{'int' if kind == 'integer' else 'float'} {_bounds(interval)}".strip()


def _bounds(interval: Interval) -> str:
    """As `str(interval)`, with large numbers in groups of three digits."""
    return re.sub(r"\d{5,}", lambda found: f"{int(found[0]):,}", str(interval))


def _algorithms_table(
    title: str, table: Mapping[str, Mapping[str, Setting]], meaning: str
) -> tuple[Row, list[Row]]:
    rows = []
    for name, settings in table.items():
        shown = [_setting(key, setting) for key, setting in settings.items()]
        shown += [f"{code(_WRAPPED)} (unset)"] if name == "patient" else []
        rows.append((code(name), ", ".join(shown)))
    return (title, "settings and defaults", meaning), rows


def _setting(name: str, setting: Setting) -> str:
    if setting.example:
        return f"{code(name)} (required)"
    if setting.default is None:
        return f"{code(name)} (unset)"
    default = _written(setting.default)
    others = setting.value.names if isinstance(setting.value, OneOf) else ()
    rest = "".join(f" or {code(other)}" for other in others if other != setting.default)
    return code(f"{name}: {default}") + rest


def _trainer_table() -> tuple[Row, list[Row]]:
    rows = [(code(p.name), _domain(p), code(_written(p.default))) for p in TRAINER_PARAMS.values()]
    return ("parameter", "values", "default", "meaning"), rows


def _domain(param: TrainerParam) -> str:
    if param.kind == "choice":
        return ", ".join(map(code, param.choices))
    if param.kind == "flag":
        return f"{code('true')}, {code('false')}"
    return f"{param.kind} {_bounds(param.domain)}"


def _data_table() -> tuple[Row, list[Row]]:
    return ("data set", "task"), [(code(name), task.value) for name, task in DATA_SETS.items()]


def _metrics_table() -> tuple[Row, list[Row]]:
    rows = [
        (code(metric.removeprefix("val_")), task.value, code(f"{direction}: {metric}"))
        for task, goals in OBJECTIVES.items()
        for metric, direction in goals.items()
        if metric != "val_loss"
    ]
    return ("metric", "task", "as the goal", "meaning"), rows


TABLES = {
    "commands": _commands_table,
    "keys": _keys_table,
    "samplers": lambda: _algorithms_table("sampler", SAMPLERS, "meaning"),
    "pruners": lambda: _algorithms_table("pruner", PRUNERS, "stops a trial"),
    "trainer": _trainer_table,
    "data": _data_table,
    "metrics": _metrics_table,
    "sources": _sources_table,
    "split": lambda: _record_table(SplitRule),
    "prepare": lambda: _record_table(PrepareRule),
    "report": lambda: _record_table(Report),
    "placeholders": _placeholders_table,
}


if __name__ == "__main__":
    for page in find_pages():
        page.write_text(update(page.read_text()))
