"""`tuner predict`: the predictions of a final model for the rows of a file, as CSV."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.training.data.rows import find_image_files, read_rows
from tuner.training.final.model import FinalModel, load_model

_PREDICTION = "prediction"


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """A line for each row: its prediction, and the probability of each class."""

    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def predict_file(
    folder: Path,
    file: Path,
    *,
    form: Mapping[str, str | None],
    is_lenient: bool = False,
    device: str = "cpu",
) -> Predicted:
    """Predict every row of a file, or every image of a folder.

    `form` holds delimiter, encoding and decimal of a CSV file; None stands for those of the data
    that the model was trained on. Raises `BadRows` for rows without an answer, `RunFailed` for a
    folder without a model, `UsageError` for a model of the user's own.
    """
    model = load_model(folder, device=device)
    if model.preparation.pixels is None:
        given = {name: value for name, value in form.items() if value is not None}
        rows = read_rows(file, model.preparation, {**model.preparation.form, **given})
        return _predict(model, rows, is_lenient=is_lenient)
    files = find_image_files(file)
    predicted = _predict(model, files, is_lenient=is_lenient)
    return Predicted(
        header=("file", *predicted.header),
        rows=tuple((str(path), *row) for path, row in zip(files, predicted.rows, strict=True)),
    )


def _predict(model: FinalModel, rows: Any, *, is_lenient: bool) -> Predicted:
    if not model.classes:
        found = model.predict(rows, is_lenient=is_lenient).tolist()
        return Predicted(header=(_PREDICTION,), rows=tuple((value,) for value in found))
    probabilities = model.predict_proba(rows, is_lenient=is_lenient)
    return Predicted(
        header=(_PREDICTION, *(f"p_{name}" for name in model.classes)),
        rows=tuple((model.classes[int(row.argmax())], *row.tolist()) for row in probabilities),
    )
