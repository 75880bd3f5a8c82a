"""JSON Schema of a range of the search space."""

from collections.abc import Mapping

from tuner.study_file.params.ranges import MAX_POINTS
from tuner.study_file.params.reading import KINDS_OF_RANGES, RANGE_KEYS
from tuner.study_file.params.trainer_params import TrainerParam
from tuner.study_file.schema.parts import (
    SCALAR,
    Schema,
    described,
    number_schema,
    object_schema,
    whole_schema,
)


def range_schema(param: TrainerParam | None = None) -> Schema:
    """Return the schema of `{float: [low, high]}` and its kin, in a trainer parameter's domain."""
    kinds = KINDS_OF_RANGES if param is None else _kinds_of(param)
    is_number = param is not None and param.kind in ("float", "int")
    bound = number_schema(param.domain) if param and is_number else {"type": "number"}
    values: dict[str, Schema] = {
        "float": {"type": "array", "items": bound, "minItems": 2, "maxItems": 2},
        "int": {
            "type": "array",
            "items": {**bound, "type": "integer"},
            "minItems": 2,
            "maxItems": 2,
        },
        "choice": {"type": "array", "items": values_schema(param), "minItems": 1},
    }
    others = [key for key in RANGE_KEYS.allowed if key not in KINDS_OF_RANGES]
    return {
        "oneOf": [
            object_schema(
                {kind: values[kind], **{key: _RANGE_PARTS.get(key, {}) for key in others}}, [kind]
            )
            for kind in kinds
        ]
    }


def _kinds_of(param: TrainerParam) -> tuple[str, ...]:
    return ("choice",) if param.kind in ("choice", "flag") else (param.kind, "choice")


_ENDS: Schema = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_RANGE_PARTS: Mapping[str, Schema] = {
    "log": {"type": "boolean", "description": "even on a logarithmic scale"},
    "step": {"type": "number", "exclusiveMinimum": 0},
    "grid": described(whole_schema(2, MAX_POINTS), "points for sampler: grid"),
    "near": {
        "oneOf": [
            SCALAR,
            object_schema({"range": _ENDS}, ["range"]),
        ],
        "description": "where good values are expected",
    },
    "when": {"type": "object", "description": "only where another parameter has such a value"},
}


def values_schema(param: TrainerParam | None) -> Schema:
    match param.kind if param else None:
        case "choice":
            assert param is not None
            return {"enum": list(param.choices)}
        case "flag":
            return {"type": "boolean"}
        case "int":
            assert param is not None
            return number_schema(param.domain, "integer")
        case "float":
            assert param is not None
            return number_schema(param.domain)
        case _:
            return SCALAR
