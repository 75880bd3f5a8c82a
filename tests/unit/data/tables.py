"""Small tables as files, and what the preparation makes of them."""

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.data_requests import data_request
from tuner.training.data.content import Hashes
from tuner.training.data.preparing import request_of
from tuner.training.data.source import DataRequest, Source
from tuner.training.data.sources import Machine, open_source
from tuner.training.data.table import Table

COLUMNS = ("id", "age", "plan", "since", "churned")


def rows_of_churn(n_rows: int = 60) -> list[list[Any]]:
    """Rows with a number, categories, a date and gaps; the target depends on age and plan."""
    rng = random.Random(5)
    rows = []
    for number in range(n_rows):
        age, plan = rng.randint(18, 80), rng.choice(("basic", "plus", "pro"))
        since = f"20{rng.randint(15, 25)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        churned = "yes" if (age < 40) != (plan == "pro") else "no"
        rows.append([number, "" if number % 7 == 3 else age, plan, since, churned])
    return rows


def write_csv(path: Path, rows: Sequence[Sequence[Any]], header: Sequence[str] = COLUMNS) -> Path:
    """Write a table."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path


def request(folder: Path, source: Mapping[str, Any], **rules: Any) -> DataRequest:
    """The request of a study file in this folder."""
    return request_of(data_request(dict(source), folder, **rules))


def opened(asked: DataRequest, load: Any = None) -> Source:
    """The source of a request; `load` is the user's callable."""
    hashes = Hashes(asked.folder / "hashes.json")
    return open_source(asked, Machine(hashes=hashes, load_code=lambda name, folder: load))


def load_table(folder: Path, source: Mapping[str, Any], **rules: Any) -> Table:
    """The typed table of a source."""
    return opened(request(folder, source, **rules)).load()
