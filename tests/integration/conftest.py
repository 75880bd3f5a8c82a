"""Fixtures of the integration tests: a study on a fresh database, and agents without workers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.stores import StoredStudy, close_stock, make_spec
from tuner.storage.connection import Database

NewStudy = Callable[..., StoredStudy]


@pytest.fixture
def new_study(database: Database) -> Iterator[NewStudy]:
    """Makes studies of the given budget, and with other fields of the spec if need be."""
    studies: list[StoredStudy] = []

    def make(trials: int = 10, **changes: Any) -> StoredStudy:
        studies.append(StoredStudy(database, make_spec(trials=trials, **changes)))
        return studies[-1]

    yield make
    for study in studies:
        study.close()
    close_stock()


@pytest.fixture
def study(new_study: NewStudy) -> StoredStudy:
    """A study of ten trials."""
    return new_study()
