"""Fields of trials outside all columns, read when a filter names them: hosts, attributes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from tuner.storage.connections.connection import Snapshot
from tuner.storage.reading.columns import (
    read_attribute,
    read_attribute_names,
    read_text_field,
)
from tuner.study.trial import Params
from tuner.study_file.model import StudySpec

PARAMS, ATTRS = "params.", "attrs."


class MoreFields(Protocol):
    """Fields that a filter may name in addition to the columns of a table."""

    @property
    def fixed(self) -> Params: ...

    @property
    def searched(self) -> Collection[str]:
        """Return the names of the search space, even if no trial has them yet."""

    def read_text(self, field: str) -> Mapping[int, object]:
        """Read one of `TEXT_FIELDS` by trial number, of the trials that have it."""

    def read_attribute(self, key: str) -> Mapping[int, object]:
        """Read a user attribute by trial number, of the trials that have it."""

    def attribute_names(self) -> Collection[str]:
        """Return the user attributes that trials have."""


@dataclass(frozen=True, kw_only=True)
class StoredFields:
    """The fields of a stored study, read in one snapshot."""

    connection: Snapshot
    study_id: int
    spec: StudySpec

    @property
    def fixed(self) -> Params:
        return self.spec.params

    @property
    def searched(self) -> Collection[str]:
        return self.spec.search_space

    def read_text(self, field: str) -> Mapping[int, object]:
        return read_text_field(self.connection, self.study_id, field)

    def read_attribute(self, key: str) -> Mapping[int, object]:
        return read_attribute(self.connection, self.study_id, key)

    def attribute_names(self) -> Collection[str]:
        return read_attribute_names(self.connection, self.study_id)
