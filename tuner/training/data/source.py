"""What every source of a data set offers.

A source is cheap to open: `load` reads the data, and `versions` says without reading them whether
an earlier preparation can be used again.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tuner.training.data.table import Table


class UnknownSource(Exception):
    """The data source does not exist; the message names the known ones."""


class Source(Protocol):
    """Where a data set comes from."""

    def versions(self) -> Mapping[str, str]:
        """What the content depends on, such as versions of packages or hashes of files."""

    def load(self) -> "Table":
        """The data set; raises an error whose text is one sentence."""
