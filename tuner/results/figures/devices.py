"""The fleet over time: a row per device; bars are trials, gaps are idle, red edges failures."""

from collections.abc import Sequence

from tuner.results.board import Board
from tuner.results.device_timeline import LOST, DeviceRow, Span, build_fleet
from tuner.results.figures.figure import Figure, Trace, escape_label
from tuner.study.places import count_units
from tuner.study.trial import TrialState

_MAX_LANES = 6  # in which a device's bars are drawn
_MAX_EDGES = 400
_MAX_LABELS = 14  # rows that are named one by one
_PIXELS = 150  # of the height, for all rows together
_KINDS = {  # state -> name, colour
    TrialState.COMPLETE: ("complete", "@complete"),
    TrialState.PRUNED: ("pruned", "@pruned"),
    TrialState.FAIL: ("failed", "@fail/0.6"),
    LOST: ("lost", "@fail/0.4"),
    TrialState.RELEASED: ("released", "@released"),
    TrialState.RUNNING: ("running", "@running"),
}


def fleet_figure(board: Board) -> Figure:
    """Draw every trial's bar for a small study; the busy times of devices for a large one."""
    fleet = build_fleet(board)
    rows = [row for row in fleet if row.n_attempts]
    if not rows:
        return Figure(name="fleet", title="Fleet", empty="no device has trained a trial yet")
    n_bars = sum(row.n_attempts for row in rows)
    is_merged = any(not row.spans or row.n_lanes > _MAX_LANES for row in rows)
    began = min(row.runs[0][0] for row in rows)
    ended = max(row.runs[-1][1] for row in rows)
    thinnest = max(ended - began, 1.0) / 600  # seconds: a bar that is shorter would not be seen
    traces = _merged(rows, thinnest) if is_merged else _bars(rows, thinnest)
    traces += _edges(rows, is_merged)
    labels = _labels(rows)
    n_failed = sum(row.n_failed for row in rows)
    layout = {
        "xaxis": {"type": "date", "range": [began * 1000, max(ended, began + 1) * 1000]},
        "yaxis": {"tickmode": "array", "tickvals": [at for at, _, _ in labels],
                  "ticktext": [text for _, text, _ in labels], "automargin": True,
                  "range": [len(rows) - 0.5, -0.5], "zeroline": False, "showgrid": False},
        "shapes": [
            {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": place - 0.4,
             "y1": place + 0.4, "layer": "below", "line": {"width": 0}, "fillcolor": "@idle"}
            for place in range(len(rows))
        ],
        "annotations": [
            {"xref": "paper", "x": 1.0, "xanchor": "left", "y": at, "showarrow": False,
             "text": "" if busy is None else f" {busy:.0%}",
             "font": {"color": "@soft", "size": 10.5}}
            for at, _, busy in labels
        ],
        "margin": {"l": 8, "r": 40, "t": 22, "b": 8},
        "showlegend": True,
    }  # fmt: skip
    notes = ["right: busy", f"{n_bars:,} attempts as busy time" if is_merged else ""]
    if n_failed > _MAX_EDGES:
        notes.append(f"the last {_MAX_EDGES} of {n_failed:,} failures")
    return Figure(
        name="fleet",
        title="Fleet",
        traces=traces,
        layout=layout,
        note="; ".join(note for note in notes if note),
        summary=f"{len(rows)} devices, {n_bars:,} attempts, {n_failed:,} of them failed or lost",
    )


def _labels(rows: Sequence[DeviceRow]) -> list[tuple[float, str, float | None]]:
    """Label the rows with name and utilization: each device, or each machine if there are many."""
    hosts: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        hosts.setdefault(row.host, []).append(place)
    if len(rows) <= _MAX_LABELS:
        return [
            (
                place,
                escape_label(row.device if len(hosts) == 1 else f"{row.host[:16]} {row.device}"),
                row.utilization,
            )
            for place, row in enumerate(rows)
        ]
    return [
        (
            sum(places) / len(places),
            f"{escape_label(host[:16])} ({len(places)})",
            mean_utilization([rows[place] for place in places]),
        )
        for host, places in hosts.items()
    ]


def mean_utilization(rows: Sequence[DeviceRow]) -> float | None:
    """Return the mean over GPUs, or shares of the CPU, of which a row may have several."""
    known = [
        (row.utilization, count_units([row.device])) for row in rows if row.utilization is not None
    ]
    n_units = sum(n for _, n in known)
    return sum(busy * n for busy, n in known) / n_units if known else None


def _width(rows: Sequence[DeviceRow], n_lanes: int) -> float:
    return max(1.0, min(14.0, _PIXELS / len(rows) * 0.8 / n_lanes))


def _bars(rows: Sequence[DeviceRow], thinnest: float) -> list[Trace]:
    """Draw thick lines with gaps: one trace a state and number of lanes, however many bars."""
    traces = []
    for state, (name, colour) in _KINDS.items():
        is_told = False
        for n_lanes in sorted({row.n_lanes for row in rows}):
            x: list[float | None] = []
            y: list[float | None] = []
            which: list[str | None] = []
            for place, row in enumerate(rows):
                for span in row.spans if row.n_lanes == n_lanes else ():
                    if span.state == state:
                        height = _height(place, span, n_lanes)
                        ended = max(span.ended, span.began + thinnest)
                        x += [span.began * 1000, ended * 1000, None]
                        y += [height, height, None]
                        which += [_hover(span)] * 2 + [None]
            if x:
                traces.append(_line(name, colour, x, y, which, _width(rows, n_lanes)))
                traces[-1]["showlegend"] = not is_told
                is_told = True
    return traces


def _height(place: int, span: Span, n_lanes: int) -> float:
    return place - 0.4 + 0.8 * (span.lane + 0.5) / n_lanes


def _hover(span: Span) -> str:
    attempt = f" (attempt {span.attempt})" if span.attempt > 1 else ""
    return f"trial {span.number}{attempt}: {span.state.lower()}, {span.ended - span.began:.1f} s"


def _line(
    name: str,
    colour: str,
    x: Sequence[float | None],
    y: Sequence[float | None],
    text: Sequence[str | None],
    width: float,
) -> Trace:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "text": text,
        "legendgroup": name, "connectgaps": False, "line": {"color": colour, "width": width},
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _merged(rows: Sequence[DeviceRow], gap_seconds: float) -> list[Trace]:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str | None] = []
    for place, row in enumerate(rows):
        for began, ended in _joined(row.runs, gap_seconds):
            x += [began * 1000, max(ended, began + gap_seconds) * 1000, None]
            y += [place, place, None]
            text += [f"busy for {ended - began:,.0f} s"] * 2 + [None]
    return [_line("busy", "@complete/0.7", x, y, text, _width(rows, 1))]


def _joined(runs: Sequence[tuple[float, float]], gap_seconds: float) -> list[tuple[float, float]]:
    """Merge spans whose gaps would be invisible."""
    joined: list[tuple[float, float]] = []
    for began, ended in runs:
        if joined and began <= joined[-1][1] + gap_seconds:
            joined[-1] = joined[-1][0], ended
        else:
            joined.append((began, ended))
    return joined


def _edges(rows: Sequence[DeviceRow], is_merged: bool) -> list[Trace]:
    """Draw a red edge at each failure of an attempt."""
    ends = [
        (span, place if is_merged else _height(place, span, row.n_lanes))
        for place, row in enumerate(rows)
        for span in row.failed
    ]
    ends = sorted(ends, key=lambda end: end[0].ended)[-_MAX_EDGES:]
    if not ends:
        return []
    return [{
        "type": "scatter", "mode": "markers", "name": "failure", "showlegend": False,
        "x": [span.ended * 1000 for span, _ in ends], "y": [height for _, height in ends],
        "customdata": [span.number for span, _ in ends],
        "text": [_hover(span) for span, _ in ends], "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": "line-ns-open", "color": "@fail",
                   "size": max(3.0, min(12.0, _PIXELS / len(rows))),
                   "line": {"width": 2.5, "color": "@fail"}},
    }]  # fmt: skip
