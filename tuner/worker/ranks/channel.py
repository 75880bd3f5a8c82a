"""What the first rank of a trial tells the others."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tuner.training.lane import UnfitState

if TYPE_CHECKING:
    from torch.distributed import Store

_PATIENCE = timedelta(days=30)  # between two reports of a slow training
_KEPT = 64  # messages that stay in the store


class Channel:
    """Passes the first rank's answers to all ranks, in order, over torchrun's store.

    No process group is needed: the user's code creates the one that it wants.
    """

    def __init__(self, store: "Store", rank: int, n_ranks: int) -> None:
        self._store, self._n_ranks = store, n_ranks
        self.rank = rank
        self._n_shared = 0

    def share(self, act: Callable[[], Any]) -> Any:
        """Return on every rank what the first one returns: JSON. Raises its `UnfitState`."""
        name = f"answer/{self._n_shared}"
        self._n_shared += 1
        if self.rank:
            answer = json.loads(self._store.get(name))
        else:
            answer = self._acted(act)
            self._store.set(name, json.dumps(answer))
        if self._n_shared % _KEPT == 0:
            self._clean()
        if "unfit" in answer:
            raise UnfitState(answer["unfit"])
        return answer["value"]

    def _acted(self, act: Callable[[], Any]) -> dict[str, Any]:
        try:
            return {"value": act()}
        except UnfitState as error:
            return {"unfit": str(error)}

    def _clean(self) -> None:
        """Remove the answers before the last ones, if all ranks have read them."""
        self._store.add(f"read/{self._n_shared}", 1)
        before = self._n_shared - _KEPT
        if self.rank or not before or self._store.add(f"read/{before}", 0) < self._n_ranks:
            return
        for number in range(before - _KEPT, before):
            self._store.delete_key(f"answer/{number}")
        self._store.delete_key(f"read/{before}")


def open_channel(variables: Mapping[str, str]) -> Channel:
    """Connect to torchrun's store, whose address it has put into the environment."""
    from torch.distributed import PrefixStore, TCPStore  # noqa: PLC0415 - loads torch

    address, port = variables["MASTER_ADDR"], int(variables["MASTER_PORT"])
    store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=_PATIENCE)
    return Channel(
        PrefixStore("tuner", store), int(variables["RANK"]), int(variables["WORLD_SIZE"])
    )
