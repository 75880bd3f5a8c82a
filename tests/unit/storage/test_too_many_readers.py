"""A pool that is empty is an outage that passes, not a mistake."""

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tuner.errors import DatabaseAway
from tuner.storage.connections.connection import database_errors


def test_too_many_readers_are_a_sentence():
    with pytest.raises(DatabaseAway, match="too many readers at once"), database_errors():
        raise PoolTimeout("QueuePool limit of size 3 overflow 5 reached")
