"""The table of trials that an address selects: as a page, as CSV and as JSON."""

import csv
import io
import json
import math
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

import numpy as np
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tuner.dashboard import words
from tuner.dashboard.serving import dashboard_of, drawn_of, page
from tuner.errors import UsageError
from tuner.results.board import Board
from tuner.results.conditions import parse_condition, parse_sort, parse_states
from tuner.results.filters import Filter, field_names, filter_places
from tuner.results.old_names import old_trial_keys
from tuner.results.trial_fields import ATTRS, StoredFields
from tuner.results.trial_list import read_places
from tuner.storage.connections.connection import Database
from tuner.storage.reading.columns import TEXT_FIELDS, Ints
from tuner.storage.reading.rows import TrialRow
from tuner.study.trial import TRIAL_STATES
from tuner.study_file.text.faults import quote

PAGE_ROWS = 50
_CHUNK_ROWS = 1000
_MAX_CONDITIONS = 20
# Up to a comma; one in quotes after a sign is part of the text.
_CONDITION = re.compile(r"""(?:(?<=[<>=])\s*(?:'[^']*'|"[^"]*")|[^,])+""")


@dataclass(frozen=True, kw_only=True)
class View:
    """The request of an address, and its parts as they were typed."""

    where: str
    state: str
    reason: str
    sort: str
    page: int  # from 1
    selection: Filter

    def query(self, **changes: object) -> str:
        """Return the address of another view, starting from this one; empty parts are left out."""
        parts = {
            "where": self.where,
            "state": self.state,
            "reason": self.reason,
            "sort": "" if self.sort == "number" else self.sort,
            "page": "" if self.page == 1 else self.page,
        } | {"page": "", **changes}
        return "?" + urlencode({key: value for key, value in parts.items() if value})

    def sorted_by(self, field: str) -> str:
        """Return the address that sorts by a field, or reverses its order."""
        is_up = self.selection.sort == field and not self.selection.descending
        return self.query(sort=f"{field}:desc" if is_up else field)

    def order_of(self, field: str) -> str:
        """Return the value of `aria-sort`."""
        if self.selection.sort != field:
            return "none"
        return "descending" if self.selection.descending else "ascending"


def parse_view(query: Mapping[str, str]) -> View:
    """Parse the query; raises `UsageError` with the fault of the address."""
    where, state, reason = (query.get(name, "").strip() for name in ("where", "state", "reason"))
    sort = query.get("sort", "").strip() or "number"
    conditions = [part for part in _CONDITION.findall(where) if part.strip()]
    if len(conditions) > _MAX_CONDITIONS:
        raise UsageError(f"{len(conditions)} conditions; at most {_MAX_CONDITIONS} are looked at")
    field, is_descending = parse_sort(sort)
    number = query.get("page", "") or "1"
    if not (number.isascii() and number.isdecimal() and int(number[:9]) >= 1 and len(number) < 9):
        raise UsageError(f"page {quote(number)} is not a whole number from 1 on")
    return View(
        where=where,
        state=state,
        reason=reason,
        sort=sort,
        page=int(number),
        selection=Filter(
            conditions=[parse_condition(text.strip()) for text in conditions],
            states=parse_states(state) if state else (),
            reason=reason,
            sort=field,
            descending=is_descending,
        ),
    )


async def trials(request: Request) -> Response:
    """Show one page of the table."""
    drawn = await drawn_of(request)
    board, fault = drawn.board, ""
    try:
        view = parse_view(request.query_params)
        places = await _places(request, board, view)
    except UsageError as error:
        view, fault = _as_typed(request.query_params), str(error)
        places = np.empty(0, np.int64)
    n_pages = max(1, math.ceil(len(places) / PAGE_ROWS))
    number = min(view.page, n_pages)
    shown = places[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    database = dashboard_of(request).database
    rows = await to_thread.run_sync(partial(load_rows, database, board, shown))
    return page(
        "trials.html",
        request,
        name=board.name,
        board=board,
        view=view,
        fault=fault,
        rows=rows,
        params=list(board.table.params),
        fields=[*field_names(board.table), *usual_names(board)],
        states=TRIAL_STATES,
        n_found=len(places),
        number=number,
        n_pages=n_pages,
        first=(number - 1) * PAGE_ROWS + 1,
    )


def _as_typed(query: Mapping[str, str]) -> View:
    """Return the unchecked text for the form."""
    given = {name: query.get(name, "")[:500] for name in ("where", "state", "reason", "sort")}
    given["sort"] = given["sort"] or "number"
    return View(**given, page=1, selection=Filter())


def load_rows(database: Database, board: Board, places: Ints) -> list[TrialRow]:
    """Read these trials in this order."""
    with database.reading() as connection:
        return read_places(connection, board.study.study_id, board.table, places)


async def trials_csv(request: Request) -> Response:
    """Return every trial of the view, for a spreadsheet."""
    board, places, database = await _asked(request)
    names = list(board.table.params)

    async def lines() -> AsyncIterator[str]:
        yield _csv([_HEAD + [f"params.{name}" for name in names]])
        async for rows in _chunks(database, board, places):
            yield _csv([*_cells(row), *(row.params.get(n) for n in names)] for row in rows)

    return _download(lines(), "text/csv; charset=utf-8", f"{board.name}-trials.csv")


async def trials_json(request: Request) -> Response:
    """Return every trial of the view, as a JSON list."""
    board, places, database = await _asked(request)

    async def lines() -> AsyncIterator[str]:
        mark = "["
        async for rows in _chunks(database, board, places):
            for row in rows:
                given = dict(zip(_HEAD, _cells(row), strict=True))
                given |= {"params": dict(row.params), "user_attrs": dict(row.user_attrs)}
                given |= old_trial_keys(given)
                yield mark + json.dumps(_plain(given), allow_nan=False)
                mark = ",\n"
        yield "[]" if mark == "[" else "]\n"

    return _download(lines(), "application/json", f"{board.name}-trials.json")


async def _asked(request: Request) -> tuple[Board, Ints, Database]:
    board = (await drawn_of(request)).board
    view = parse_view(request.query_params)
    return board, await _places(request, board, view), dashboard_of(request).database


async def _places(request: Request, board: Board, view: View) -> Ints:
    """Find the places in a thread, because a filter may need a read of the database."""
    database = dashboard_of(request).database
    return await to_thread.run_sync(_filter, database, board, view.selection)


def _filter(database: Database, board: Board, wanted: Filter) -> Ints:
    with database.reading() as connection:
        fields = StoredFields(connection=connection, study_id=board.study.study_id, spec=board.spec)
        return filter_places(board.table, wanted, fields)


def usual_names(board: Board) -> Sequence[str]:
    """Return names for a filter's help, with the best trial's attributes, which need no query."""
    attributes = board.summary.best.user_attrs if board.summary.best is not None else {}
    return [*TEXT_FIELDS, *board.spec.params, *(f"{ATTRS}{name}" for name in attributes)]


async def _chunks(
    database: Database, board: Board, places: Ints
) -> AsyncIterator[Sequence[TrialRow]]:
    for start in range(0, len(places), _CHUNK_ROWS):
        chunk = places[start : start + _CHUNK_ROWS]
        yield await to_thread.run_sync(partial(load_rows, database, board, chunk))


_HEAD = ["number", "state", "value", "steps", "started_at", "ended_at", "device_seconds", "attempt",
         "host", "device", "failure", "reason", "retry_of"]  # fmt: skip


def _cells(row: TrialRow) -> list[object]:
    began, ended = words.moment(row.started_at), words.moment(row.ended_at)
    return [row.number, row.state, row.value, row.n_steps, began, ended,
            round(row.device_seconds, 3), row.attempt, row.host, row.device, row.failure,
            row.reason, row.retry_of]  # fmt: skip


def _csv(rows: Iterator[Sequence[object]] | Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        writer.writerow([csv_cell(value) for value in row])
    return text.getvalue()


def csv_cell(value: object) -> str:
    """Return a cell; text that a spreadsheet would take for a formula gets an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = words.clean(value)
    is_formula = text.lstrip(" ")[:1] in ("=", "+", "-", "@", "\t", "\n", "\r", "\uff1d")
    return f"'{text}" if is_formula or str(value)[:1] in ("\t", "\r") else text


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return words.clean(value)
    if isinstance(value, Mapping):
        return {words.clean(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _download(lines: AsyncIterator[str], kind: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "content-type": kind}
    return StreamingResponse(lines, headers=headers)
