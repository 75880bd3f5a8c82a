"""What the first rank tells the others, over a store that is shared by threads here."""

import threading

import pytest
import torch.distributed as dist

from tuner.training.lane import UnfitState
from tuner.worker.ranks.channel import Channel


@pytest.fixture
def channels() -> list[Channel]:
    store = dist.HashStore()
    return [Channel(store, rank, 2) for rank in range(2)]


def test_all_ranks_get_the_first_ones_answers_in_order(channels: list[Channel]) -> None:
    first, second = channels
    calls = iter(range(1000))
    told = [first.share(lambda: next(calls)) for _ in range(200)]
    heard = [second.share(lambda: pytest.fail("not here")) for _ in range(200)]
    assert told == heard == list(range(200))


def test_a_rank_waits_for_the_first_one(channels: list[Channel]) -> None:
    first, second = channels
    heard: list[object] = []
    waiting = threading.Thread(target=lambda: heard.append(second.share(lambda: None)))
    waiting.start()
    assert heard == []
    first.share(lambda: "go_on")
    waiting.join(60)
    assert heard == ["go_on"]


def test_answers_that_all_have_read_are_removed(channels: list[Channel]) -> None:
    first, second = channels
    for number in range(1000):
        first.share(lambda number=number: number)
        second.share(lambda: None)
    assert first._store.num_keys() < 300


def test_a_state_that_no_checkpoint_can_hold_is_an_error_on_every_rank(
    channels: list[Channel],
) -> None:
    def save() -> bool:
        raise UnfitState("state['net'] is a function")

    for channel in channels:
        with pytest.raises(UnfitState, match="is a function"):
            channel.share(save)
