"""A function is imported before its study is made: what fails here would fail every trial."""

from collections.abc import Mapping
from typing import Any

from tuner.worker.kinds.function.objective import load_function
from tuner.worker.objective import Prepared
from tuner.worker.source_files import hash_sources


def prepare_function(request: Mapping[str, Any]) -> Prepared:
    """Import the function `{"function": ..., "folder": ...}`."""
    name, folder = request["function"], request["folder"]
    load_function(name, folder)
    return Prepared(
        folder="",
        fingerprint="",
        metrics=None,
        summary=f"function {name}",
        code=hash_sources(name.rpartition(":")[0], folder),
    )
