"""The location of checkpoints: `postgres`, `file:PATH`, `s3://bucket/prefix` or `gs://...`."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from tuner.study_file.schema.parts import Schema
from tuner.study_file.text.faults import quote
from tuner.study_file.text.items import Item, describe
from tuner.study_file.text.yaml_nodes import ScalarNode
from tuner.study_file.values import Value

POSTGRES = "postgres"
_WANTED = "must be postgres, file:PATH, s3://bucket/prefix or gs://bucket/prefix"
_PREFIX = r"((?:/[A-Za-z0-9._=-]+)*)/?"
_BUCKETS = {
    "s3": re.compile(rf"s3://([a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]){_PREFIX}"),
    "gs": re.compile(rf"gs://([a-z0-9][a-z0-9._-]{{1,220}}[a-z0-9]){_PREFIX}"),
}
_PATTERN = r"^(postgres|file:.+|(s3|gs)://[a-z0-9].*)$"


@dataclass(frozen=True, kw_only=True)
class FolderStore:
    path: str  # relative to the study file


@dataclass(frozen=True, kw_only=True)
class Bucket:
    service: Literal["s3", "gs"]
    bucket: str
    prefix: str  # without slashes at its ends; empty: none


StoreLocation = FolderStore | Bucket


def parse_store(text: str) -> StoreLocation | None:
    """Return the location that a spec holds; None: the database."""
    if text == POSTGRES:
        return None
    if text.startswith("file:"):
        return FolderStore(path=text.removeprefix("file:"))
    service: Literal["s3", "gs"] = "s3" if text.startswith("s3:") else "gs"
    match = _BUCKETS[service].fullmatch(text)
    assert match is not None, text
    return Bucket(service=service, bucket=match[1], prefix=match[2].strip("/"))


@dataclass(frozen=True)
class StoreText(Value):
    """A store, as text that `parse_store` takes."""

    def read(self, item: Item) -> str | None:
        node = item.node
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            item.fault(f"{_WANTED}, not {describe(node)}")
            return None
        fault = _fault_of(node.value)
        if fault:
            item.fault(fault)
            return None
        return node.value

    def schema(self) -> Schema:
        return {"type": "string", "pattern": _PATTERN}

    def written(self, stored: Any) -> Any:
        return stored


def _fault_of(text: str) -> str:
    """Return what is wrong with a store, as a clause; empty if nothing is."""
    if text == POSTGRES:
        return ""
    kind, found, rest = text.partition(":")
    if not found or kind not in ("file", *_BUCKETS):
        return f"{_WANTED}, not {quote(text)}"
    if "@" in rest or "?" in rest:
        return "a study file holds no credentials; TUNER_STORE_PROFILE names their profile"
    if kind == "file":
        is_path = bool(rest) and not rest.startswith("//") and "\0" not in rest
        return "" if is_path else "file: needs the path of a folder, such as file:checkpoints"
    parts = PurePosixPath(rest).parts
    if _BUCKETS[kind].fullmatch(text) is None or {".", ".."} & {*parts, *rest.split("/")}:
        return f"{kind}: needs a bucket and may have a prefix, such as {kind}://models/tuner"
    return ""
