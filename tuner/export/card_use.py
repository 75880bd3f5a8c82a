"""The part of a model card about the use of the model. Pure text."""

from collections.abc import Iterator

from tuner.export.markdown import cell, python_literal
from tuner.study_file.data.sources import ColumnType
from tuner.training.data.preparation import Preparation
from tuner.training.final.model import MODEL_FILE, FinalModel
from tuner.training.final.model_card import ModelCard

_EXAMPLES = {ColumnType.NUMBER: 0.0, ColumnType.BOOLEAN: True, ColumnType.DATE: "2026-01-31"}


def render_use(model: FinalModel) -> Iterator[str]:
    """Yield the paragraphs: code that works as pasted, and the columns that rows must have."""
    card, preparation = model.card, model.preparation
    yield _code(card, preparation)
    if preparation.pixels is not None:
        channels, height, width = preparation.pixels.shape
        yield (
            f"Images are files of any size, or arrays of bytes ({height}, {width}, {channels}). "
            f"The scales of their channels are in `{MODEL_FILE}`, which holds tensors and text and "
            "can run no code."
        )
        return
    if _is_table(preparation):
        yield "`tuner predict . new.csv -o predictions.csv` does the same for a file."
        yield "Rows need these columns, in any order; others are ignored:"
        yield _columns(preparation)
        yield (
            "A row that lacks a number or has a category that no training row had is an error, "
            "unless the call is lenient (`is_lenient=True`, `--lenient`): then missing values are "
            "filled in, and such a category counts as none."
        )
        yield (
            f"The preparation of the rows is in `{MODEL_FILE}`, which holds tensors and text and "
            "can run no code. It contains the names of the categories: they are values of the data."
        )
        return
    yield (
        "Features are given in the units of the data, as finite numbers (a row with NaN or "
        "infinity is a `ValueError`); their standardization is in "
        f"`{MODEL_FILE}`, which holds tensors and text and can run no code."
    )


def _is_table(preparation: Preparation) -> bool:
    """Return whether rows need more than numbers in a known order."""
    kinds = {column.kind for column in preparation.columns}
    return kinds != {ColumnType.NUMBER} or _has_gaps(preparation)


def _has_gaps(preparation: Preparation) -> bool:
    numbers = preparation.numbers
    return numbers is not None and bool(numbers.has_indicator_F.any())


def _code(card: ModelCard, preparation: Preparation) -> str:
    """Render Python code that works in this folder."""
    build, given = "", ""
    if card.has_own_model:
        module, _, name = card.model.rpartition(":")
        build, given = _import_of(module, name), f", build={name}"
    if preparation.pixels is not None:
        rows = 'x = "images"  # a file, or a folder of files'
    elif _is_table(preparation):
        rows = f"x = [{_example(preparation)}]  # a dict for each row, or a frame, or a file"
    else:
        n_features = len(preparation.columns)
        rows = f"x = [[0.0] * {n_features}]  # rows of {n_features} features"
    proba = "\nprint(model.predict_proba(x))" if card.classes else ""
    names = "  # class numbers; their names: model.classes" if card.classes else ""
    return (
        "In this folder, wherever it is moved to:\n\n```python\n"
        f"{build}import tuner\n\n"
        f'model = tuner.load_model("."{given})\n'
        f"{rows}\n"
        f"print(model.predict(x)){names}{proba}\n```"
    )


def _example(preparation: Preparation) -> str:
    """Render one row as a dict."""
    categories = iter(preparation.one_hot.columns)
    values: dict[str, object] = {}
    for column in preparation.columns:
        if column.kind is ColumnType.CATEGORY:
            kept = next(categories).kept
            values[column.name] = kept[0] if kept else None
        else:
            values[column.name] = _EXAMPLES[column.kind]
    return python_literal(values)


def _columns(preparation: Preparation) -> str:
    """Render a table of the columns."""
    lines = ["| column | type | missing values |", "|---|---|---|"]
    categories = iter(preparation.one_hot.columns)
    has_gap = _gaps_by_column(preparation)
    for column in preparation.columns:
        kind = column.kind.value
        if column.kind is ColumnType.CATEGORY:
            fitted = next(categories)
            other = ", others together" if fitted.has_rare else ""
            kind = f"category ({len(fitted.kept)} known{other})"
            gap = fitted.has_missing
        else:
            gap = has_gap[column.name]
        lines.append(f"| {cell(column.name)} | {kind} | {'allowed' if gap else 'an error'} |")
    return "\n".join(lines)


def _gaps_by_column(preparation: Preparation) -> dict[str, bool]:
    """Return whether training rows lacked a number of the column."""
    gaps: dict[str, bool] = {}
    if preparation.numbers is None:
        return gaps
    flags = iter(preparation.numbers.has_indicator_F.tolist())
    for column in preparation.columns:
        if column.kind is ColumnType.DATE:
            gaps[column.name], *_ = (next(flags) for _ in range(4))
        elif column.kind is not ColumnType.CATEGORY:
            gaps[column.name] = next(flags)
    return gaps


def _import_of(module: str, name: str) -> str:
    """Render the import of the user's own code: it must be in the reader's code, not in a file."""
    if not module.endswith(".py"):
        return f"from {module} import {name}\n\n"
    folder, _, file = module.rpartition("/")
    stem = file.removesuffix(".py")
    place = folder or "."
    path = f'import sys\n\nsys.path.insert(0, "{place}")  # its code, copied here'
    return f"{path}\nfrom {stem} import {name}\n"
