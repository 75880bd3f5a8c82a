"""The table of all sources of data sets, by the key that names them in `objective.data`."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tuner.training.data.source import Source, UnknownSource


def open_source(asked: Mapping[str, Any]) -> Source:
    """The source of `{"sklearn": name}`; raises `UnknownSource`."""
    if len(asked) != 1 or next(iter(asked)) not in _SOURCES:
        known = ", ".join(_SOURCES)
        raise UnknownSource(f"no data source {json.dumps(dict(asked))}; sources: {known}")
    ((kind, given),) = asked.items()
    return _SOURCES[kind](given)


def _sklearn(name: str) -> Source:
    from tuner.training.data.sklearn_source import SklearnSource  # noqa: PLC0415 - one of several

    return SklearnSource(name)


_SOURCES: Mapping[str, Callable[[Any], Source]] = {"sklearn": _sklearn}
