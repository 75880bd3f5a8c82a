"""Fixtures of the fault tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import Fleet, open_fleet


@pytest.fixture
def fleet(database_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """Agents on a fresh database of the session's server."""
    with open_fleet(database_url, tmp_path) as fleet:
        yield fleet
