"""Fewer points that look the same: one of each cell of a grid as fine as the screen."""

import numpy as np

from tuner.storage.reading.columns import Floats, Ints

MAX_POINTS = 1500
_COLUMNS, _ROWS = 320, 160


def thin(x: Floats | Ints, y: Floats, most: int = MAX_POINTS) -> Ints:
    """Return the places of the points to draw, ascending.

    The first of each cell stays; cells become coarser until there are few enough.
    """
    if len(x) <= most:
        return np.arange(len(x))
    columns, rows = _COLUMNS, _ROWS
    while True:
        cells = _scaled(x, columns) * (rows + 1) + _scaled(y, rows)
        _, places = np.unique(cells, return_index=True)
        if len(places) <= most:
            return np.sort(places)
        shrunk = min(0.9, (most / len(places)) ** 0.5)
        columns, rows = max(8, int(columns * shrunk)), max(8, int(rows * shrunk))


def _scaled(values: Floats | Ints, n: int) -> Ints:
    low, high = float(values.min()), float(values.max())
    span = high - low or 1.0
    return np.minimum(((values - low) / span * n).astype(np.int64), n)
