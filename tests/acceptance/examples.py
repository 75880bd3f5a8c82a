"""Copies of the example studies that are folders."""

import re
import shutil
from pathlib import Path

from tests.acceptance.command import STUDIES


def copy_example(example: str, folder: Path, trials: int = 4, epochs: int = 3) -> Path:
    """Copy a folder of `studies`, its study in smoke size; return the study file."""
    copy = folder / example
    shutil.copytree(STUDIES / example, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "study.yaml"
    text = file.read_text()
    text, n_budgets = re.subn(r"\{trials: \d+", f"{{trials: {trials}", text)
    text, n_lengths = re.subn(r"\bepochs: \d+", f"epochs: {epochs}", text)
    assert (n_budgets, n_lengths) == (1, 1)
    file.write_text(text)
    return file
