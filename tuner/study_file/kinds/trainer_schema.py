"""JSON Schema of params, search space and goals of the built-in trainer."""

from tuner.study_file.params.trainer_params import (
    OBJECTIVES,
    SHAPE_NAMES,
    KnownParams,
)
from tuner.study_file.schema.parts import SCALAR, Schema, object_schema
from tuner.study_file.schema.ranges import range_schema, values_schema


def trainer_sections(known: KnownParams) -> dict[str, Schema]:
    """Return the narrower schemas of the trainer, for the built-in and the user's model."""
    fixed = {
        name: {**values_schema(param), "default": param.default}
        for name, param in known.table.items()
    }
    searched = {
        name: False if param.why_fixed else range_schema(param)
        for name, param in known.table.items()
    }
    goals = {
        direction: sorted(
            {name for known in OBJECTIVES.values() for name, d in known.items() if d == direction}
        )
        for direction in ("minimize", "maximize")
    }
    return {
        "params": object_schema(fixed) | (_others(SCALAR) if known.takes_others else {}),
        "search_space": object_schema(searched)
        | (_others(range_schema()) if known.takes_others else {}),
        **{direction: {"enum": names} for direction, names in goals.items()},
    }


def _others(schema: Schema) -> Schema:
    """Return the schema of names outside the table."""
    reserved = {"not": {"enum": list(SHAPE_NAMES)}}
    return {"additionalProperties": schema, "propertyNames": reserved}
