"""The user's own config of a program, over whose keys params are written."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tuner.study.trial import Params
from tuner.study_file.text.faults import did_you_mean, quote

MAX_BYTES = 1_000_000
SUFFIXES = (".yaml", ".yml", ".json")


class BadConfig(Exception):
    """The user's config cannot be used; the message names the file and the fix."""


def load_config(path: Path) -> dict[str, Any]:
    """Return the content of a YAML or JSON file; raises `BadConfig`. Nothing in it is run."""
    name = path.name
    if path.suffix not in SUFFIXES:
        raise BadConfig(f"{name} has to end with {', '.join(SUFFIXES)}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadConfig(f"{name} is larger than {MAX_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else _parse_yaml(text)
    except OSError as error:
        raise BadConfig(f"{name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BadConfig(f"{name} cannot be read ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(content, dict):
        raise BadConfig(f"{name} is no mapping from keys to values")
    return content


def _parse_yaml(text: str) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - only studies with a config need it
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from error


def render_config(content: Mapping[str, Any], suffix: str) -> str:
    """Render a config as YAML or JSON, by the suffix of its file."""
    if suffix == ".json":
        return json.dumps(content, indent=2, default=str) + "\n"
    from io import StringIO  # noqa: PLC0415

    from ruamel.yaml import YAML  # noqa: PLC0415

    writer, stream = YAML(typ="safe", pure=True), StringIO()
    writer.default_flow_style = False
    writer.dump(dict(content), stream)
    return stream.getvalue()


def has_key(content: Mapping[str, Any], dotted: str) -> bool:
    """Return whether a config has a key, such as `optimizer.lr`."""
    return dotted in set(keys_of(content))


def keys_of(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield all dotted keys, those of mappings included."""
    for key, value in content.items():
        if not isinstance(key, str):
            continue
        name = f"{prefix}{key}"
        yield name
        if isinstance(value, Mapping):
            yield from keys_of(value, f"{name}.")


def missing_key_fault(content: Mapping[str, Any], dotted: str, file: str) -> str:
    """Return the sentence for a param without a key in the config."""
    guess = did_you_mean(dotted, list(keys_of(content)))
    return f"{file} has no key {quote(dotted)}{guess}; add it there, or use {{{dotted}}} elsewhere"


def with_params(content: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """Return a copy of a config with each param written over its key; others are left out."""
    copy: dict[str, Any] = _copied(content)
    for name, value in params.items():
        if not has_key(content, name):
            continue
        place, keys = copy, name.split(".")
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
    return copy


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list) else value
