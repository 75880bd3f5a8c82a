"""The JSON Schema of study files, for editors.

Names, choices and domains come from the tables by which files are read; rules that the reader has
in code are repeated here, and a test compares them with the reader.
"""

from collections.abc import Mapping, Sequence

from tuner.study.trial import PARAM_NAME, Direction
from tuner.study_file.algorithms.reading import _WRAPPED, PRUNERS, SAMPLERS, Setting
from tuner.study_file.keys import key_schema, keyed_fields
from tuner.study_file.kinds.table import KINDS
from tuner.study_file.load import STUDY_KEYS
from tuner.study_file.model import StudySpec
from tuner.study_file.schema.parts import (
    SCALAR,
    Schema,
    described,
    object_schema,
)
from tuner.study_file.schema.ranges import range_schema
from tuner.study_file.sections import STUDY_NAME

_NAME_PATTERN = f"^{PARAM_NAME.pattern}$"


def build_schema() -> Schema:
    """Build the JSON Schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tuner study file",
        "$defs": {"pruner": _algorithms(PRUNERS, {"patient": {_WRAPPED: _PRUNER}})},
        "type": "object",
        "additionalProperties": False,
        "properties": _sections(),
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
    """Build one conditional schema: the sections of the first condition that holds."""
    rule: Schema = {}
    for condition, properties in reversed(sections):
        then = {"properties": dict(properties)}
        rule = {"if": {"properties": {"objective": condition}}, "then": then} | (
            {"else": rule} if rule else {}
        )
    return [rule] if rule else []


def _named(name: str) -> Schema:
    """Return the schema of this algorithm, bare or with settings."""
    return {"anyOf": [{"const": name}, {"type": "object", "required": [name]}]}


def _algorithms(
    table: Mapping[str, Mapping[str, Setting]],
    nested: Mapping[str, Mapping[str, Schema]] | None = None,
) -> Schema:
    """Return the schema of a name, bare or with settings; `nested` settings are algorithms."""
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
    schema = setting.value.schema()
    return schema if setting.default is None else {**schema, "default": setting.default}


_ONE_PRUNER: Schema = {"$ref": "#/$defs/pruner"}
_PRUNER: Schema = {"anyOf": [_ONE_PRUNER, {"type": "array", "items": _ONE_PRUNER, "minItems": 1}]}


# Schemas of the keys without a kind of value, whose readers are in `load`.
_OWN_READERS: Mapping[str, Schema] = {
    "name": {"type": "string", "pattern": f"^{STUDY_NAME.pattern}$"},
    "objective": {"anyOf": [kind.schema() for kind in KINDS]},
    "params": {
        "type": "object",
        "propertyNames": {"pattern": _NAME_PATTERN},
        "additionalProperties": SCALAR,
    },
    "search_space": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": _NAME_PATTERN},
        "additionalProperties": range_schema(),
    },
    "sampler": _algorithms(SAMPLERS),
    "pruner": _PRUNER,
    "enqueue": {"type": "array", "items": {"type": "object", "additionalProperties": SCALAR}},
}
_GOALS: Mapping[str, Schema] = {
    direction: described({"type": "string", "minLength": 1}, f"the metric to {direction}")
    for direction in Direction
}


def _sections() -> dict[str, Schema]:
    sections: dict[str, Schema] = dict(_GOALS)
    for name, found in keyed_fields(StudySpec).items():
        own = _OWN_READERS.get(name)
        sections[name] = key_schema(found) if own is None else described(own, found.key.doc)
    return {name: sections[name] for name in STUDY_KEYS}
