"""A look at a data set before a study: its columns, its faults, and likely mistakes.

Cells are in `ColumnFacts.example` alone.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from tuner.study.data_facts import ColumnFacts, DataFacts
from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.sources import ColumnType
from tuner.study_file.data.split import SplitRule
from tuner.training.data.mistakes import find_mistakes
from tuner.training.data.preparation import Preparation
from tuner.training.data.python_source import PythonSource
from tuner.training.data.source import BadData, DataRequest, Source
from tuner.training.data.split import split_rows
from tuner.training.data.table import Table
from tuner.training.data.table_source import TableSource

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_EXAMPLE = 24  # characters


def look_at(source: Source, request: DataRequest) -> DataFacts:
    """Look at a data set; faults in it are part of the result."""
    columns: tuple[ColumnFacts, ...] = ()
    try:
        read = source.read() if isinstance(source, TableSource | PythonSource) else None
        if read is not None:
            columns, faults = _facts_of(read[0], request)
            if faults:
                return DataFacts(summary="", columns=columns, faults=faults, warnings=())
        table = source.load()
        rows = split_rows(table, SplitRule.model_validate(dict(request.split)))
        rule = PrepareRule.model_validate(dict(request.prepare))
        preparation = Preparation.fit(table, rows["train"], rule)
    except BadData as error:
        return DataFacts(summary="", columns=columns, faults=(str(error),), warnings=())
    sizes = ", ".join(f"{len(index):,} {name}" for name, index in rows.items())
    return DataFacts(
        summary=f"{_summary(table, preparation)}; {sizes}",
        columns=columns,
        faults=(),
        warnings=tuple(find_mistakes(table, rows, request.source.get("types") or ())),
        task=table.task.value,
    )


def _summary(table: Table, preparation: Preparation) -> str:
    n_classes = len(table.target.categories)
    classes = f" of {n_classes} classes" if n_classes else ""
    if preparation.pixels is not None:
        channels, height, width = preparation.pixels.shape
        inputs = f"images of {height} x {width} x {channels}"
    else:
        inputs = f"{preparation.n_features} inputs of the model"
    return f"{table.name}: {table.n_rows:,} rows, {inputs}; {table.task.value}{classes}"


def _facts_of(
    arrow: "pa.Table", request: DataRequest
) -> tuple[tuple[ColumnFacts, ...], tuple[str, ...]]:
    """Return the facts of all columns, and the faults of each."""
    from tuner.training.data import arrow_table  # noqa: PLC0415 - loads pyarrow

    roles = arrow_table.Roles(request, list(arrow.column_names))
    uses = roles.uses(list(arrow.column_names))
    faults: list[str] = []
    for name in (name for name, use in uses.items() if use != "dropped"):
        try:
            arrow_table.check_column(arrow, name, roles, request.task)
        except BadData as error:
            faults.append(str(error))
    facts = [_column_facts(arrow, name, use, roles.types) for name, use in uses.items()]
    return tuple(facts), tuple(faults)


def _column_facts(
    arrow: "pa.Table", name: str, use: str, types: dict[str, ColumnType]
) -> ColumnFacts:
    import pyarrow.compute as pc  # noqa: PLC0415 - takes a quarter of a second

    from tuner.training.data.columns import infer_type  # noqa: PLC0415 - loads pyarrow

    values = arrow.column(name)
    kind = types.get(name)
    if kind is None:
        with suppress(BadData):
            kind = infer_type(name, values)
    n_different = 0
    with suppress(Exception):  # Arrow counts no nested values
        n_different = pc.count_distinct(values).as_py()
    return ColumnFacts(
        name=name,
        use=use,
        type=kind.value if kind is not None else str(values.type),
        missing=values.null_count,
        distinct=n_different,
        example=next(_examples(values), ""),
    )


def _examples(values: "pa.ChunkedArray") -> Iterator[str]:
    for value in values.drop_null().slice(0, 1):
        text = str(value.as_py())
        yield text if len(text) <= _MAX_EXAMPLE else f"{text[: _MAX_EXAMPLE - 3]}..."
