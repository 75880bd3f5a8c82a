"""Several processes that train one model: the first one reports, and all stop together."""

import os
from collections.abc import Callable
from typing import Any

from tuner.trial.ends import ENDS, TrialEnd

Broadcast = Callable[[Any], Any]  # return the first rank's object on every rank


def started_ranks() -> int:
    """Return the number of processes that torchrun has started; 1 without it."""
    is_started = "TORCHELASTIC_RUN_ID" in os.environ
    return int(os.environ.get("WORLD_SIZE", "1")) if is_started else 1


def act_on_first(act: Callable[[], None], *, is_first: bool, broadcast: Broadcast) -> None:
    """Act on the first rank, and raise on every rank what was raised there.

    An end of the trial is the same end on each of them; any other error is a `RuntimeError` on the
    others, so that none waits for a rank that has failed.
    """
    raised: BaseException | None = None
    if is_first:
        try:
            act()
        except BaseException as error:
            raised = error
    verdict = raised.verdict if isinstance(raised, TrialEnd) else None
    failure = f"the first rank failed: {raised!r}" if raised is not None else None
    verdict, failure = broadcast((verdict, failure))
    if raised is not None:
        raise raised
    if verdict is not None:
        raise ENDS[verdict]()
    if failure is not None:
        raise RuntimeError(failure)
