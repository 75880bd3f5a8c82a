"""The best value so far over the trials, as a sparkline."""

import math
from collections.abc import Sequence

from tuner.cli.text.curve import sparkline
from tuner.storage.reading.trials import RecordRow


def best_so_far(records: Sequence[RecordRow], n_complete: int, width: int) -> str:
    """Render the best value after each COMPLETE trial; on a logarithmic scale if possible."""
    if not records or n_complete < 2 or width < 1:
        return ""
    width = min(width, n_complete)
    values, at = [], 0
    for place in range(width):
        nth = 1 + round(place * (n_complete - 1) / max(1, width - 1))
        while at + 1 < len(records) and records[at + 1].nth <= nth:
            at += 1
        values.append(records[at].value)
    if min(values) > 0:
        values = [math.log(value) for value in values]
    return sparkline(values, width)
