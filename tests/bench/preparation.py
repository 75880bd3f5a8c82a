"""Time and memory of the preparation of a large table, next to pyarrow's reading of the same file.

    python -m tests.bench.preparation [--rows 200000]

Targets: at most twice the reading time plus a second; above the imports, at most four times the
larger of file and prepared arrays in memory; a second preparation finds the result in under 50 ms.
Each figure is the best of some child processes, so that no other part of the run weighs on it.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
N_COLUMNS = 15  # nine numbers, four categories, a date, and the target

_READ = """
import sys, time, pyarrow.csv
started = time.perf_counter()
table = pyarrow.csv.read_csv(sys.argv[1])
print(time.perf_counter() - started)
"""
_PREPARE = """
import json, resource, sys, time
from pathlib import Path
import numpy, scipy.special, sklearn.model_selection, safetensors.numpy, pydantic
import pyarrow, pyarrow.csv, pyarrow.parquet, pyarrow.compute
from tests.data_requests import data_request
from tuner.training.data import building, arrow_table, table_source
from tuner.training.data.preparing import prepare

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

file = Path(sys.argv[1])
request = data_request({"csv": file.name, "target": "y"}, file.parent)
before = peak_mb()
started = time.perf_counter()
prepared = prepare(request, Path(sys.argv[2]))
first = time.perf_counter() - started
peak = peak_mb() - before
started = time.perf_counter()
prepare(request, Path(sys.argv[2]))
second = time.perf_counter() - started
size = sum(path.stat().st_size for path in prepared.folder.iterdir())
print(json.dumps({"first": first, "second": second, "peak_mb": peak, "arrays_mb": size / 2**20}))
"""


def write_table(path: Path, n_rows: int) -> None:
    """Write numbers with gaps, categories, dates, and a target that depends on some of them."""
    rng = random.Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"c{number}" for number in range(N_COLUMNS - 1)] + ["y"])
        for _ in range(n_rows):
            numbers = [round(rng.gauss(0, 10), 3) for _ in range(9)]
            texts = [f"{'abcd'[k]}{rng.randrange(3 + 5 * k)}" for k in range(4)]
            day = f"20{rng.randint(10, 25)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
            target = int(numbers[0] + 5 * (texts[0] == "a1") > 0)
            shown = ["" if rng.random() < 0.05 else number for number in numbers]
            writer.writerow([*shown, *texts, day, target])


def child(code: str, *arguments: object) -> str:
    """Return the output of a Python process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.splitlines()[-1]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        file = folder / "table.csv"
        write_table(file, options.rows)
        read, found = [], []
        for number in range(options.repeats):
            read.append(float(child(_READ, file)))
            found.append(json.loads(child(_PREPARE, file, folder / f"home{number}")))
        file_mb = file.stat().st_size / 2**20
    best_read = min(read)
    first, second = (min(one[name] for one in found) for name in ("first", "second"))
    peak = min(one["peak_mb"] for one in found)
    larger = max(file_mb, found[0]["arrays_mb"])
    rows = [
        ("pyarrow reads", f"{best_read:.2f} s", ""),
        ("preparation", f"{first:.2f} s", f"at most {2 * best_read + 1:.2f} s"),
        ("again", f"{second * 1000:.0f} ms", "under 50 ms"),
        ("memory above the imports", f"{peak:.0f} MB", f"at most {4 * larger:.0f} MB"),
        ("file, prepared arrays", f"{file_mb:.0f} MB, {found[0]['arrays_mb']:.0f} MB", ""),
    ]
    print(f"{options.rows:,} rows x {N_COLUMNS} columns, best of {options.repeats}")
    for name, value, target in rows:
        print(f"  {name:26} {value:>16}   {target}")
    is_met = first <= 2 * best_read + 1 and second < 0.05 and peak <= 4 * larger
    print("  targets met" if is_met else "  A TARGET IS MISSED")


if __name__ == "__main__":
    main()
