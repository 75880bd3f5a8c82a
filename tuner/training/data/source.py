"""Port of all sources of data sets.

Opening a source is cheap: `load` reads the data, and `content` shows without reading them as a
table whether an earlier preparation can be used again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tuner.training.folders import UnsafeFolder

if TYPE_CHECKING:
    from tuner.training.data.table import Table


class BadData(Exception):
    """The data cannot be used; the message is one sentence with the place and the fix."""


def in_words(error: Exception) -> str:
    """Return one sentence about an error, without the text of other packages: it may hold cells."""
    if isinstance(error, BadData | UnsafeFolder | OSError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "they do not fit in memory"
    return f"an unexpected {type(error).__name__}"


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """The data to prepare, as the study file asks for them (`TrainerObjective.data_request`)."""

    source: Mapping[str, Any]  # a record of `study_file.data.sources`, as JSON values
    split: Mapping[str, Any]
    prepare: Mapping[str, Any]
    task: str | None
    identity: Mapping[str, Any]  # the values that make them other data; no paths
    folder: Path  # to which paths are relative
    code_folder: str  # to which the user's code is relative


class Source(Protocol):
    def content(self) -> Mapping[str, str]:
        """Return the versions or hashes that determine the content; raises `BadData`."""

    def load(self) -> "Table":
        """Return the data set; raises `BadData`."""
