"""Building blocks of the JSON Schema of study files."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tuner.study_file.text.intervals import Interval

Schema = dict[str, Any]

DURATION: Schema = {
    "type": "string",
    "pattern": r"^(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?$",
    "examples": ["90s", "30m", "12h", "1d12h"],
}
SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}


def object_schema(properties: Mapping[str, Schema | bool], required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        "required": list(required),
    }


def described(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text}


def number_schema(interval: Interval, kind: str = "number") -> Schema:
    schema: Schema = {"type": kind}
    if not math.isinf(interval.low):
        schema["exclusiveMinimum" if interval.is_open_low else "minimum"] = interval.low
    if not math.isinf(interval.high):
        schema["exclusiveMaximum" if interval.is_open_high else "maximum"] = interval.high
    return schema


def whole_schema(low: int, high: float = math.inf) -> Schema:
    return number_schema(Interval(low=low, high=high), "integer")


def callable_schema(example: str) -> Schema:
    return {"type": "string", "pattern": r"^.+:\w+$", "examples": [example]}
