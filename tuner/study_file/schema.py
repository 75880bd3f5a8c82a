"""The JSON Schema of study files, for editors. Names, choices and domains come from the tables by
which files are read; what those hold in code stands here, and a test compares it with the reader.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from tuner.study.trial import PARAM_NAME
from tuner.study_file.algorithms import _WRAPPED, PRUNERS, SAMPLERS, Setting
from tuner.study_file.intervals import Interval
from tuner.study_file.items import read_bool, read_float, read_int, read_option
from tuner.study_file.load import _KEYS
from tuner.study_file.model import MAX_LANES, CodePolicy
from tuner.study_file.parameters import _KINDS, _RANGE_KEYS
from tuner.study_file.ranges import MAX_POINTS
from tuner.study_file.sections import STUDY_NAME
from tuner.study_file.trainer_params import (
    DATA_SETS,
    OBJECTIVES,
    OF_AN_OWN_MODEL,
    OF_THE_TRAINER,
    PLANNED_PARAMS,
    SHAPE_NAMES,
    KnownParams,
    TrainerParam,
)

Schema = dict[str, Any]

_DURATION: Schema = {
    "type": "string",
    "pattern": r"^(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?$",
    "examples": ["90s", "30m", "12h", "1d12h"],
}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
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
            {
                "if": {"properties": {"objective": {"type": "object"}}},
                "then": {
                    "if": {"properties": {"objective": _HAS_OWN_MODEL}},
                    "then": {"properties": _trainer_sections(OF_AN_OWN_MODEL)},
                    "else": {"properties": _trainer_sections(OF_THE_TRAINER)},
                },
            },
            {
                "if": {"properties": {"sampler": _named("grid")}, "required": ["sampler"]},
                "else": {"required": ["budget"]},
            },
        ],
    }


def _object(properties: Mapping[str, Schema | bool], required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        "required": list(required),
    }


def _described(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text}


def _number(interval: Interval, kind: str = "number") -> Schema:
    schema: Schema = {"type": kind}
    if not math.isinf(interval.low):
        schema["exclusiveMinimum" if interval.is_open_low else "minimum"] = interval.low
    if not math.isinf(interval.high):
        schema["exclusiveMaximum" if interval.is_open_high else "maximum"] = interval.high
    return schema


def _whole(low: int, high: float = math.inf) -> Schema:
    return _number(Interval(low=low, high=high), "integer")


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
        _object({name: _settings(known, nested.get(name, {}))}, [name])
        for name, known in table.items()
        if known or name in nested
    ]
    return {"anyOf": [{"enum": bare}, *with_settings]}


def _settings(known: Mapping[str, Setting], nested: Mapping[str, Schema]) -> Schema:
    required = [name for name, setting in known.items() if setting.example]
    return _object({**{name: _setting(s) for name, s in known.items()}, **nested}, required)


def _setting(setting: Setting) -> Schema:
    """From the reader itself, which knows type and interval."""
    schema: Schema = {}
    read = setting.read
    if read is read_bool:
        schema = {"type": "boolean"}
    elif isinstance(read, partial) and read.func is read_int:
        schema = _number(read.keywords["interval"], "integer")
    elif isinstance(read, partial) and read.func is read_float:
        schema = _number(read.keywords["interval"])
    elif isinstance(read, partial) and read.func is read_option:
        schema = {"enum": list(read.keywords["options"])}
    return schema if setting.default is None else {**schema, "default": setting.default}


_ONE_PRUNER: Schema = {"$ref": "#/$defs/pruner"}
_PRUNER: Schema = {"anyOf": [_ONE_PRUNER, {"type": "array", "items": _ONE_PRUNER, "minItems": 1}]}


def _range(param: TrainerParam | None = None) -> Schema:
    """`{float: [low, high]}` and its kin; of a trainer's parameter, inside its domain."""
    kinds = _KINDS if param is None else _kinds_of(param)
    bound = _number(param.domain) if param and param.kind != "choice" else {"type": "number"}
    values: dict[str, Schema] = {
        "float": {"type": "array", "items": bound, "minItems": 2, "maxItems": 2},
        "int": {
            "type": "array",
            "items": {**bound, "type": "integer"},
            "minItems": 2,
            "maxItems": 2,
        },
        "choice": {"type": "array", "items": _values(param), "minItems": 1},
    }
    others = [key for key in _RANGE_KEYS.allowed if key not in _KINDS]
    return {
        "oneOf": [
            _object(
                {kind: values[kind], **{key: _RANGE_PARTS.get(key, {}) for key in others}}, [kind]
            )
            for kind in kinds
        ]
    }


def _kinds_of(param: TrainerParam) -> tuple[str, ...]:
    return ("choice",) if param.kind == "choice" else (param.kind, "choice")


_RANGE_PARTS: Mapping[str, Schema] = {
    "log": {"type": "boolean", "description": "even on a logarithmic scale"},
    "step": {"type": "number", "exclusiveMinimum": 0},
    "grid": _described(_whole(2, MAX_POINTS), "points for sampler: grid"),
    "when": {"type": "object", "description": "only where another parameter has such a value"},
}


def _values(param: TrainerParam | None) -> Schema:
    match param.kind if param else None:
        case "choice":
            assert param is not None
            return {"enum": list(param.choices)}
        case "int":
            assert param is not None
            return _number(param.domain, "integer")
        case "float":
            assert param is not None
            return _number(param.domain)
        case _:
            return _SCALAR


def _trainer_sections(known: KnownParams) -> dict[str, Schema]:
    """What is narrower for the built-in trainer, with its own model or with the user's."""
    fixed = {
        name: {**_values(param), "default": param.default} for name, param in known.table.items()
    }
    searched = {
        name: False if param.why_fixed else _range(param) for name, param in known.table.items()
    }
    goals = {
        direction: sorted(
            {name for known in OBJECTIVES.values() for name, d in known.items() if d == direction}
        )
        for direction in ("minimize", "maximize")
    }
    return {
        "params": _object(fixed) | (_others(_SCALAR) if known.takes_others else {}),
        "search_space": _object(searched) | (_others(_range()) if known.takes_others else {}),
        **{direction: {"enum": names} for direction, names in goals.items()},
    }


def _others(schema: Schema) -> Schema:
    """Names that no table knows."""
    reserved = {"not": {"enum": [*PLANNED_PARAMS, *SHAPE_NAMES]}}
    return {"additionalProperties": schema, "propertyNames": reserved}


def _callable(example: str) -> Schema:
    return {"type": "string", "pattern": r"^.+:\w+$", "examples": [example]}


_HAS_OWN_MODEL: Schema = {
    "type": "object",
    "properties": {"model": {"type": "string", "pattern": ":"}},
    "required": ["model"],
}

_SECTIONS: Mapping[str, Schema] = {
    "name": {
        "type": "string",
        "pattern": f"^{STUDY_NAME.pattern}$",
        "description": "the study's name in the database",
    },
    "objective": {
        "description": "what is trained: a data set and a model, or a function of your own",
        "anyOf": [
            _object(
                {
                    "data": _object({"sklearn": {"enum": list(DATA_SETS)}}, ["sklearn"]),
                    "model": {"anyOf": [{"enum": ["mlp"]}, _callable("net.py:cnn")]},
                    "loss": _callable("losses.py:focal"),
                },
                ["data", "model"],
            ),
            _callable("train.py:train"),
        ],
    },
    "minimize": _described({"type": "string", "minLength": 1}, "the metric to make small"),
    "maximize": _described({"type": "string", "minLength": 1}, "the metric to make large"),
    "params": {
        "type": "object",
        "propertyNames": {"pattern": _NAME_PATTERN},
        "additionalProperties": _SCALAR,
        "description": "fixed values of every trial",
    },
    "search_space": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": _NAME_PATTERN},
        "additionalProperties": _range(),
        "description": "what is searched",
    },
    "sampler": _described(_algorithms(SAMPLERS), "how params are proposed"),
    "pruner": _described(_PRUNER, "which trials are stopped early; of a list each prunes"),
    "budget": _described(
        _object(
            {
                "trials": _described(_whole(1, 10_000_000), "trials of all machines"),
                "epochs": _described(_whole(1, 10**12), "steps trained in all trials"),
                "time": _described(_DURATION, "time in which agents work"),
                "gpu_hours": {"type": "number", "exclusiveMinimum": 0},
                "target": _described({"type": "number"}, "end when a trial reaches it"),
            }
        ),
        "the first limit reached ends the study",
    ),
    "trial": _object({"timeout": _DURATION}),
    "enqueue": {
        "type": "array",
        "items": {"type": "object", "additionalProperties": _SCALAR},
        "description": "the first trials; missing params are drawn",
    },
    "seed": {**_whole(0, 2**32 - 1), "default": 0},
    "workers": _object(
        {
            "lanes": _described(
                {"anyOf": [{"const": "auto"}, _whole(1, MAX_LANES)], "default": "auto"},
                "trials that train together in a process",
            ),
            "processes": {**_whole(1, 64), "default": 1},
        }
    ),
    "checkpoints": _object(
        {
            "every": {**_DURATION, "default": "30s"},
            "keep": {**_whole(1, 100), "default": 2},
            "keep_best": _described(
                {**_whole(0, 100), "default": 5}, "trials whose weights stay: the best ones"
            ),
        }
    ),
    "code": {
        "enum": list(CodePolicy),
        "default": "warn",
        "description": "when another version of the objective's code joins",
    },
    "failures": _object(
        {
            "retries": {**_whole(0, 100), "default": 2},
            "lease": {**_DURATION, "default": "30s"},
            "grace": {**_DURATION, "default": "25s"},
            "silence": {"anyOf": [{"const": "auto"}, _DURATION], "default": "auto"},
            "stop_after": {"anyOf": [{"const": "never"}, _whole(1, 10_000)], "default": 8},
            "max_offline": {**_DURATION, "default": "1h"},
        }
    ),
}
