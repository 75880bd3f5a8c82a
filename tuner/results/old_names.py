"""Names of the last release that this release still accepts or shows next to the new ones.

Programs have one release to change. Then this module and its uses are removed.
"""

from collections.abc import Mapping
from typing import Any

from tuner.study.trial import TrialState

OLD_RELEASED = "FREE"
STATES: Mapping[str, TrialState] = {OLD_RELEASED: TrialState.RELEASED}
# Fields of filters and sort orders in the addresses of pages.
FIELDS: Mapping[str, str] = {
    "seconds": "device_seconds",
    "began": "started_at",
    "ended": "ended_at",
}


def old_summary_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    """The old keys of the document of a summary.

    `counts` and `device_seconds` hold released trials twice, by both names of their state. `epochs`
    is as it was, so its sum is that of `steps`.
    """
    by_state = {key: _with_free(document[key]) for key in ("counts", "device_seconds")}
    steps = _with_free(document["steps"])
    del steps[TrialState.RELEASED]
    return {
        **by_state,
        "epochs": steps,
        "epochs_saved_by_pruning": document["steps_saved_by_pruning"],
    }


def _with_free(by_state: Mapping[str, Any]) -> dict[str, Any]:
    return {**by_state, OLD_RELEASED: by_state[TrialState.RELEASED]}


def old_trial_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    """The old keys of a trial in the JSON of a page."""
    old = {"began": "started_at", "ended": "ended_at", "attrs": "user_attrs"}
    return {key: document[new] for key, new in old.items()}
