"""The JSON Schema of study files, for editors. Names, choices and domains come from the tables by
which files are read; what those hold in code stands here, and a test compares it with the reader.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from tuner.study.trial import PARAM_NAME
from tuner.study_file.algorithms import _WRAPPED, PRUNERS, SAMPLERS, Setting
from tuner.study_file.items import read_bool, read_float, read_int, read_option
from tuner.study_file.kinds.objective import MAX_LANES
from tuner.study_file.kinds.table import KINDS
from tuner.study_file.load import _KEYS
from tuner.study_file.model import CodePolicy
from tuner.study_file.ranges_schema import range_schema
from tuner.study_file.schema_parts import (
    DURATION,
    SCALAR,
    Schema,
    described,
    number_schema,
    object_schema,
    whole_schema,
)
from tuner.study_file.sections import STUDY_NAME

_NAME_PATTERN = f"^{PARAM_NAME.pattern}$"


def build_schema() -> Schema:
    """JSON Schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tuner study file",
        "$defs": {"pruner": _algorithms(PRUNERS, {"patient": {_WRAPPED: _PRUNER}})},
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _SECTIONS[name] for name in _KEYS.allowed},
        "required": ["name", "objective", "search_space"],
        "allOf": [
            {"oneOf": [{"required": ["minimize"]}, {"required": ["maximize"]}]},
            *(rule for kind in KINDS for rule in _rules(kind.sections())),
            {
                "if": {"properties": {"sampler": _named("grid")}, "required": ["sampler"]},
                "else": {"required": ["budget"]},
            },
        ],
    }


def _rules(sections: Sequence[tuple[Schema, Mapping[str, Schema]]]) -> list[Schema]:
    """One conditional schema: the sections of the first condition that holds."""
    rule: Schema = {}
    for condition, properties in reversed(sections):
        then = {"properties": dict(properties)}
        rule = {"if": {"properties": {"objective": condition}}, "then": then} | (
            {"else": rule} if rule else {}
        )
    return [rule] if rule else []


def _named(name: str) -> Schema:
    """This algorithm, bare or with settings."""
    return {"anyOf": [{"const": name}, {"type": "object", "required": [name]}]}


def _algorithms(
    table: Mapping[str, Mapping[str, Setting]],
    nested: Mapping[str, Mapping[str, Schema]] | None = None,
) -> Schema:
    """A bare name, or one with settings; `nested` are settings that are algorithms."""
    nested = nested or {}
    bare = [name for name, known in table.items() if not any(s.example for s in known.values())]
    with_settings = [
        object_schema({name: _settings(known, nested.get(name, {}))}, [name])
        for name, known in table.items()
        if known or name in nested
    ]
    return {"anyOf": [{"enum": bare}, *with_settings]}


def _settings(known: Mapping[str, Setting], nested: Mapping[str, Schema]) -> Schema:
    required = [name for name, setting in known.items() if setting.example]
    return object_schema({**{name: _setting(s) for name, s in known.items()}, **nested}, required)


def _setting(setting: Setting) -> Schema:
    """From the reader itself, which knows type and interval."""
    schema: Schema = {}
    read = setting.read
    if read is read_bool:
        schema = {"type": "boolean"}
    elif isinstance(read, partial) and read.func is read_int:
        schema = number_schema(read.keywords["interval"], "integer")
    elif isinstance(read, partial) and read.func is read_float:
        schema = number_schema(read.keywords["interval"])
    elif isinstance(read, partial) and read.func is read_option:
        schema = {"enum": list(read.keywords["options"])}
    return schema if setting.default is None else {**schema, "default": setting.default}


_ONE_PRUNER: Schema = {"$ref": "#/$defs/pruner"}
_PRUNER: Schema = {"anyOf": [_ONE_PRUNER, {"type": "array", "items": _ONE_PRUNER, "minItems": 1}]}


_SECTIONS: Mapping[str, Schema] = {
    "name": {
        "type": "string",
        "pattern": f"^{STUDY_NAME.pattern}$",
        "description": "the study's name in the database",
    },
    "objective": described(
        {"anyOf": [kind.schema() for kind in KINDS]},
        "what is trained: a data set and a model, or a function of your own",
    ),
    "minimize": described({"type": "string", "minLength": 1}, "the metric to make small"),
    "maximize": described({"type": "string", "minLength": 1}, "the metric to make large"),
    "params": {
        "type": "object",
        "propertyNames": {"pattern": _NAME_PATTERN},
        "additionalProperties": SCALAR,
        "description": "fixed values of every trial",
    },
    "search_space": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": _NAME_PATTERN},
        "additionalProperties": range_schema(),
        "description": "what is searched",
    },
    "sampler": described(_algorithms(SAMPLERS), "how params are proposed"),
    "pruner": described(_PRUNER, "which trials are stopped early; of a list each prunes"),
    "budget": described(
        object_schema(
            {
                "trials": described(whole_schema(1, 10_000_000), "trials of all machines"),
                "epochs": described(whole_schema(1, 10**12), "steps trained in all trials"),
                "time": described(DURATION, "time in which agents work"),
                "gpu_hours": {"type": "number", "exclusiveMinimum": 0},
                "target": described({"type": "number"}, "end when a trial reaches it"),
            }
        ),
        "the first limit reached ends the study",
    ),
    "trial": object_schema({"timeout": DURATION}),
    "enqueue": {
        "type": "array",
        "items": {"type": "object", "additionalProperties": SCALAR},
        "description": "the first trials; missing params are drawn",
    },
    "seed": {**whole_schema(0, 2**32 - 1), "default": 0},
    "workers": object_schema(
        {
            "lanes": described(
                {"anyOf": [{"const": "auto"}, whole_schema(1, MAX_LANES)], "default": "auto"},
                "trials that train together in a process",
            ),
            "processes": {**whole_schema(1, 64), "default": 1},
        }
    ),
    "checkpoints": object_schema(
        {
            "every": {**DURATION, "default": "30s"},
            "keep": {**whole_schema(1, 100), "default": 2},
            "keep_best": described(
                {**whole_schema(0, 100), "default": 5}, "trials whose weights stay: the best ones"
            ),
        }
    ),
    "code": {
        "enum": list(CodePolicy),
        "default": "warn",
        "description": "when another version of the objective's code joins",
    },
    "failures": object_schema(
        {
            "retries": {**whole_schema(0, 100), "default": 2},
            "lease": {**DURATION, "default": "30s"},
            "grace": {**DURATION, "default": "25s"},
            "silence": {"anyOf": [{"const": "auto"}, DURATION], "default": "auto"},
            "stop_after": {"anyOf": [{"const": "never"}, whole_schema(1, 10_000)], "default": 8},
            "max_offline": {**DURATION, "default": "1h"},
        }
    ),
}
