"""Thousands of small changes to good files: each is valid or a located error, quickly."""

import random
import re
from pathlib import Path

import pytest

from tuner.errors import Fault, StudyFileError
from tuner.study_file.load import load_spec

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))
N_MUTATIONS = 150  # per study and kind
TOKENS = [
    *("", "null", "true", ".nan", ".inf", "-1", "0", "1e999", "[]", "{}", "[[1]]", "{a: 1}"),
    *("&a", "*a", "!!x", "<<", "?", "- ", ": ", "|", ">", "%", "@", "`", '"', "'", "\\", "\t"),
    *("9" * 400, "float", "int", "choice", "log", "step", "tpe", "asha", "1_0", "0x1F", "0o7"),
    *("---", "...", "\u2028", "\U0001f680", "%YAML 1.1", "#"),
]


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def mutate_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(one, lines[other])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            lines[one] = b" " * rng.randint(1, 4) + lines[one]
    return b"\n".join(lines)


def mutate_tokens(content: bytes, rng: random.Random) -> bytes:
    parts = re.split(r"(\W)", content.decode())
    parts[rng.randrange(len(parts))] = rng.choice(TOKENS)
    return "".join(parts).encode()


def faults_of(path: Path) -> tuple[Fault, ...]:
    """None for a valid file; anything but a `StudyFileError` fails the test."""
    try:
        load_spec(path)
    except StudyFileError as error:
        return error.faults
    return ()


@pytest.mark.parametrize("study", STUDIES, ids=[study.stem for study in STUDIES])
@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_lines, mutate_tokens])
def test_a_changed_file_is_valid_or_a_located_error(mutate, study, tmp_path):
    rng = random.Random(f"{mutate.__name__} {study.stem}")
    # Comments only dilute the changes.
    lines = [line for line in study.read_bytes().splitlines() if not line.startswith(b"#")]
    content = b"\n".join(lines)
    path = tmp_path / "study.yaml"
    n_errors = 0
    for _ in range(N_MUTATIONS):
        path.write_bytes(mutate(content, rng))
        faults = faults_of(path)
        n_errors += bool(faults)
        assert len(faults) <= 20
        assert all(fault.line >= 1 and fault.column >= 1 for fault in faults)
        assert all(fault.message and "\n" not in fault.message for fault in faults)
    assert n_errors > N_MUTATIONS / 10
