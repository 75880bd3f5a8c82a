"""Port of all sources of data sets.

Opening a source is cheap: `load` reads the data, and `versions` shows without reading them whether
an earlier preparation can be used again.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tuner.training.data.table import Table


class UnknownSource(Exception):
    """The data source does not exist; the message names the known ones."""


class Source(Protocol):
    def versions(self) -> Mapping[str, str]:
        """Return the versions or hashes that determine the content."""

    def load(self) -> "Table":
        """Return the data set; raises an error whose text is one sentence."""
