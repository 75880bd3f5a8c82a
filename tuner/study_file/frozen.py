"""The base of all records of a study file."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen record in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
