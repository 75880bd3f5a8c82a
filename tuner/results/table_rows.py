"""Rows of a table of trials from columns, for the few that a page shows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from tuner.results.trial_table import RELEASED, RUNNING, TrialTable
from tuner.storage.reading.columns import STATES, TrialDetails, parse_json
from tuner.storage.reading.rows import TrialRow
from tuner.study.trial import Params


def build_rows(
    table: TrialTable, places: Sequence[int], details: Mapping[int, TrialDetails]
) -> list[TrialRow]:
    """The trials at these places, in this order; without details where they have just gone."""
    return [
        _row(table, place, details[number])
        for place in places
        if (number := int(table.numbers[place])) in details
    ]


def _row(table: TrialTable, place: int, more: TrialDetails) -> TrialRow:
    value = float(table.values[place])
    state = int(table.states[place])
    return TrialRow(
        number=more.number,
        state=STATES[state],
        value=value if np.isfinite(value) else None,
        params=table.params_of(place) or _given(more.given),
        n_steps=int(table.n_steps[place]),
        started_at=_time(table.began[place]),
        ended_at=_time(table.ended[place]) if state not in (RUNNING, RELEASED) else None,
        attempt=more.attempt,
        reason=more.reason,
        failure=more.failure,
        host=more.host,
        device=more.device,
        retry_of=more.retry_of,
        user_attrs={key: parse_json(text) for key, text in more.attrs.items()},
        device_seconds=float(table.seconds[place]),
    )


def _time(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(float(seconds), UTC) if np.isfinite(seconds) else None


def _given(text: str | None) -> Params:
    given = parse_json(text) if text else {}
    return given if isinstance(given, dict) else {}
