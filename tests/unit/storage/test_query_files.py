"""The statements: each has a name, a purpose and a user."""

import re
from pathlib import Path

import pytest

import tuner
from tuner.storage.queries import load_queries

PACKAGE = Path(tuner.__file__).parent
SQL = PACKAGE / "storage" / "sql"
FILES = sorted(path.stem for path in SQL.glob("*.sql"))
SOURCE = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES)
def test_a_file_starts_with_a_name_and_names_every_statement_once(file: str) -> None:
    text = (SQL / f"{file}.sql").read_text()
    assert text.startswith("-- name: ")
    names = re.findall(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    assert len(names) == len(set(names)) == len(load_queries(file))
    assert len(re.findall(r"-- name:", text)) == len(names)


@pytest.mark.parametrize(
    ("file", "name"), [(file, name) for file in FILES for name in load_queries(file)]
)
def test_a_query_says_its_purpose_is_one_statement_and_is_used(file: str, name: str) -> None:
    query = load_queries(file)[name]
    purpose = query.split("\n", 1)[0]
    assert re.fullmatch(r"-- [A-Z\"].{8,}", purpose), purpose
    statement = "\n".join(line for line in query.splitlines() if not line.startswith("--"))
    assert ";" not in statement
    assert re.search(rf'"{name}"', SOURCE), f"nobody runs {file}.{name}"


def test_every_file_of_queries_is_loaded_by_somebody() -> None:
    for file in FILES:
        assert f'"{file}"' in SOURCE
