"""`tuner predict`: the predictions of a final model for the rows of a file, as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.training.data.rows import find_image_files, read_rows
from tuner.training.final.model import FinalModel, load_model

_PREDICTION = "prediction"


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Predictions as CSV text."""

    text: str
    n_rows: int


def predict_file(
    folder: Path,
    file: Path,
    *,
    form: Mapping[str, str],
    is_lenient: bool = False,
    device: str = "cpu",
) -> Predicted:
    """Predict every row of a file, or every image of a folder.

    `form` holds delimiter, encoding and decimal of a CSV file. Raises `BadRows` for rows without an
    answer, `RunFailed` for a folder without a model, `UsageError` for a model of the user's own.
    """
    model = load_model(folder, device=device)
    if model.preparation.pixels is not None:
        files = find_image_files(file)
        names = [str(each) for each in files]
        return _render(model, files, ["file"], zip(names, strict=True), is_lenient=is_lenient)
    rows = read_rows(file, form)
    return _render(model, rows, [], None, is_lenient=is_lenient)


def _render(
    model: FinalModel,
    rows: Any,
    header: list[str],
    heads: Iterable[tuple[str, ...]] | None,
    *,
    is_lenient: bool,
) -> Predicted:
    """Render one line for each row: its prediction, and the probability of each class."""
    predicted = model.predict(rows, is_lenient=is_lenient).tolist()
    header = [*header, _PREDICTION]
    parts: list[list[Any]] = [[value] for value in predicted]
    if model.classes:
        header += [f"p_{name}" for name in model.classes]
        probabilities = model.predict_proba(rows, is_lenient=is_lenient).tolist()
        parts = [
            [model.classes[number], *(f"{p:.6g}" for p in row)]
            for number, row in zip(predicted, probabilities, strict=True)
        ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for head, part in zip(heads or [()] * len(parts), parts, strict=True):
        writer.writerow([*head, *part])
    return Predicted(text=text.getvalue(), n_rows=len(parts))
