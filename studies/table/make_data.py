"""Writes customers.csv next to this file: 400 invoices of 120 customers, with gaps.

python studies/table/make_data.py
"""

import csv
import random
from datetime import date, timedelta
from pathlib import Path

HEADER = ("customer_id", "age", "plan", "since", "usage", "support_calls", "newsletter", "churned")
PLANS = ("basic", "plus", "pro", "business")


def make_rows(n_rows: int = 400, n_customers: int = 120, seed: int = 1) -> list[list[object]]:
    """Draw customers, and some invoices of each: rows of a customer resemble each other."""
    rng = random.Random(seed)
    customers = [
        {
            "age": rng.randint(18, 85),
            "plan": rng.choices(PLANS, (5, 3, 2, 1))[0],
            "since": date(2018, 1, 1) + timedelta(days=rng.randrange(2500)),
            "newsletter": rng.choice(("yes", "no")),
        }
        for _ in range(n_customers)
    ]
    rows = []
    for _ in range(n_rows):
        number = rng.randrange(n_customers)
        one = customers[number]
        usage = max(0.0, rng.gauss(40 if one["plan"] == "basic" else 60, 15))
        calls = rng.choices((0, 1, 2, 5), (6, 3, 2, 1))[0]
        risk = (one["plan"] == "basic") + 0.6 * calls + (usage < 35) - one["age"] / 60
        rows.append(
            [
                f"C{number:03d}",
                "" if rng.random() < 0.06 else one["age"],
                "" if rng.random() < 0.04 else one["plan"],
                one["since"].isoformat(),
                "" if rng.random() < 0.1 else f"{usage:.1f}",
                calls,
                one["newsletter"],
                "yes" if risk + rng.gauss(0, 0.5) > 1 else "no",
            ]
        )
    return rows


def main() -> None:
    """Write the file."""
    path = Path(__file__).with_name("customers.csv")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(make_rows())
    print(f"{path}: written")


if __name__ == "__main__":
    main()
