"""Fields of trials that no column holds, read when a filter names them: hosts, attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tuner.results.board import Board
from tuner.storage.connections.connection import Database
from tuner.storage.reading.columns import (
    TEXT_FIELDS,
    read_attribute,
    read_attribute_names,
    read_text_field,
)

_PARAMS, _ATTRS = "params.", "attrs."


class MoreFields(Protocol):
    """What a filter may ask for beside the columns of a table."""

    def read(self, name: str) -> Mapping[int, object] | None:
        """By number, of the trials that have it; None where no trial can have such a field."""
        ...

    def names(self) -> Sequence[str]:
        """All that there are, for "did you mean"."""
        ...


class NoFields:
    """The columns are all there is."""

    def read(self, name: str) -> Mapping[int, object] | None:
        return None

    def names(self) -> Sequence[str]:
        return ()


@dataclass(frozen=True, kw_only=True)
class StoredFields:
    """Those of a study; raises `DatabaseError`."""

    database: Database
    board: Board

    def read(self, name: str) -> Mapping[int, object] | None:
        """As `tuner trials --where` does: own ones, then fixed params, then attributes."""
        if "\0" in name:
            return None  # the database could not even be asked
        study_id, fixed = self.board.study.study_id, self.board.spec.params
        with self.database.reading() as connection:
            if name in TEXT_FIELDS:
                return read_text_field(connection, study_id, name)
            param = name if name in fixed else name.removeprefix(_PARAMS)
            if param in fixed:
                return dict.fromkeys(self.board.table.numbers.tolist(), fixed[param])
            if name.startswith(_PARAMS):
                return None
            key = name.removeprefix(_ATTRS)
            found = read_attribute(connection, study_id, key)
            is_known = bool(found) or key in read_attribute_names(connection, study_id)
            return found if is_known else None

    def names(self) -> Sequence[str]:
        """With the attributes of all trials."""
        with self.database.reading() as connection:
            attributes = read_attribute_names(connection, self.board.study.study_id)
        return [*TEXT_FIELDS, *self.board.spec.params, *(f"{_ATTRS}{name}" for name in attributes)]


def usual_names(board: Board) -> list[str]:
    """For the help beside a filter: with the attributes of the best trial, which cost no query."""
    attributes = board.summary.best.user_attrs if board.summary.best is not None else {}
    return [*TEXT_FIELDS, *board.spec.params, *(f"{_ATTRS}{name}" for name in attributes)]
