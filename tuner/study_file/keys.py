"""The keys of a study file, each described once: at the field that stores its value.

`Annotated[int, Key(Whole(1, 64), "...")] = 1` gives the reader, the bounds, the default, the JSON
Schema, the row in the documentation, and whether the key makes a study another one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tuner.study_file.frozen import Model
from tuner.study_file.schema.parts import Schema, object_schema
from tuner.study_file.text.items import Item, Keys, Section, read_section
from tuner.study_file.values import OrWord, Value

_Record = TypeVar("_Record", bound=Model)


@dataclass(frozen=True)
class Key:
    """A key, and the field of a record in which its value is stored."""

    # a record: a mapping with keys of its own; None: read in `load`
    value: Value | type[Model] | None
    doc: str  # description for the documentation and editors
    name: str = ""  # empty: the field's
    is_identity: bool = False  # another value makes another study; otherwise machines may differ
    # Only a file of this machine sets it: it is not stored in a database, and not read from one.
    is_local: bool = False
    stays: str = ""  # why the stored value counts where a machine's file has another one
    later: Mapping[str, str] = field(default_factory=dict)  # planned keys of the record, by advice


@dataclass(frozen=True, kw_only=True)
class KeyedField:
    """A field of a record with its key."""

    name: str  # of the key
    field: str
    key: Key
    default: Any  # as it is stored; None where there is none

    @property
    def has_default(self) -> bool:
        """Return whether the key has a default that can be written."""
        is_word = isinstance(self.key.value, OrWord)
        return isinstance(self.key.value, Value) and (self.default is not None or is_word)

    @property
    def written_default(self) -> Any:
        """Return the default as a study file writes it."""
        assert isinstance(self.key.value, Value)
        return self.key.value.written(self.default)


def keyed_fields(record: type[Model]) -> Mapping[str, KeyedField]:
    """Return the keys of a record, in the order of its fields."""
    return {found.name: found for found in _keyed(record.model_fields)}


def _keyed(fields: Mapping[str, FieldInfo]) -> Iterator[KeyedField]:
    for name, info in fields.items():
        for key in info.metadata:
            if isinstance(key, Key):
                default = None if info.default is PydanticUndefined else info.default
                yield KeyedField(name=key.name or name, field=name, key=key, default=default)


def read_fields(section: Section, record: type[Model]) -> dict[str, Any]:
    """Read the values by field, without missing or wrong ones and those with their own reader."""
    given: dict[str, Any] = {}
    for name, found in keyed_fields(record).items():
        kind = found.key.value
        if name not in section or kind is None:
            continue
        if isinstance(kind, Value):
            value = kind.read(section[name])
        else:
            value = read_record(section[name], kind, found.key.later)
        if value is not None or isinstance(kind, OrWord):
            given[found.field] = value
    return given


def read_record(item: Item, record: type[_Record], later: Mapping[str, str]) -> _Record:
    """Read a mapping; keys that are missing or wrong have their defaults."""
    keys = Keys(allowed=tuple(keyed_fields(record)), later=later)
    return record(**read_fields(read_section(item, keys) or {}, record))


def record_schema(record: type[Model]) -> Schema:
    """Return the JSON Schema of a mapping."""
    return object_schema({name: key_schema(found) for name, found in keyed_fields(record).items()})


def key_schema(found: KeyedField) -> Schema:
    """Return the JSON Schema of one value, with its default and its description."""
    value = found.key.value
    assert value is not None, found.name
    schema = value.schema() if isinstance(value, Value) else record_schema(value)
    default = {"default": found.written_default} if found.has_default else {}
    return {**schema, **default, "description": found.key.doc}
