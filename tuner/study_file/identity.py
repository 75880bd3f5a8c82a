"""The stored spec, and its comparison with a study file."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tuner.study_file.frozen import Model
from tuner.study_file.keys import keyed_fields
from tuner.study_file.kinds.objective import Objective
from tuner.study_file.model import Algorithm, Confirms, StudySpec
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Near, When
from tuner.study_file.text.yaml_text import render_inline
from tuner.study_file.values import OrWord

_ABSENT = "nothing"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference between two specs, as text."""

    path: str
    stored: str
    given: str
    remark: str = ""  # which of the two counts, where that is not the given one


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The comparison of a study file with the stored study of its name."""

    identity: tuple[Difference, ...]  # these make it another study
    notices: tuple[Difference, ...]  # these may differ from machine to machine


def dump_spec(spec: StudySpec) -> dict[str, Any]:
    """Return the spec as JSON values, without local keys; `parse_spec` reads it back."""
    return _without_local_keys(spec.model_dump(mode="json"))


def parse_spec(stored: Mapping[str, Any]) -> StudySpec:
    """Return the spec that `dump_spec` gave; local keys have their defaults, whatever it holds."""
    return StudySpec.model_validate(_without_local_keys(stored))


def with_local_keys(spec: StudySpec, given: StudySpec) -> StudySpec:
    """Return `spec` with the local keys of `given`, which a file of this machine holds."""
    changed = {
        section: getattr(spec, section).model_copy(
            update={field: getattr(getattr(given, section), field) for field in fields}
        )
        for section, fields in _local_keys().items()
    }
    return spec.model_copy(update=changed)


def _without_local_keys(stored: Mapping[str, Any]) -> dict[str, Any]:
    local = _local_keys()
    return {
        name: {field: part for field, part in value.items() if field not in local[name]}
        if name in local and isinstance(value, Mapping)
        else value
        for name, value in stored.items()
    }


def _local_keys() -> dict[str, frozenset[str]]:
    """Return the fields of local keys by section (`Key.is_local`)."""
    found = {}
    for section in keyed_fields(StudySpec).values():
        if isinstance(section.key.value, type):
            parts = keyed_fields(section.key.value).values()
            found[section.field] = frozenset(part.field for part in parts if part.key.is_local)
    return {section: fields for section, fields in found.items() if fields}


def compare_specs(stored: StudySpec, given: StudySpec) -> Comparison:
    """Find the differences that make `given` another study than `stored`, and the allowed ones.

    The order of parameters does not matter, nor whether a default is written out; the order of
    choices does, since Optuna's record holds their indices.
    """
    identity = _differences(_identity_values(stored), _identity_values(given))
    notices = _differences(_notice_values(stored), _notice_values(given))
    return Comparison(
        identity=identity,
        notices=tuple(replace(n, remark=_remarks().get(n.path, "")) for n in notices),
    )


def keep_defaults(stored: StudySpec, given: StudySpec, unnamed: Collection[str]) -> StudySpec:
    """Return `given` with the stored values of keys that its file does not name.

    A later version may have other defaults, and the study must stay the same.
    """
    return given.model_copy(update={name: getattr(stored, name) for name in unnamed})


def render_differences(differences: Sequence[Difference]) -> str:
    """Render one line each: `seed: stored 7, given 8`."""
    return "\n".join(
        f"{difference.path}: stored {difference.stored}, given {difference.given}"
        + (f"; {difference.remark}" if difference.remark else "")
        for difference in differences
    )


def _identity_values(spec: StudySpec) -> dict[str, Any]:
    params = {**spec.objective.own_defaults, **spec.objective.complete(spec.params)}
    fixed = {name: value for name, value in params.items() if name not in spec.search_space}
    parts = {
        "objective": {**_objective_values(spec.objective), str(spec.direction): spec.metric},
        "params": {f"params.{name}": value for name, value in fixed.items()},
        "search_space": {f"search_space.{name}": r for name, r in spec.search_space.items()},
    }
    values: dict[str, Any] = {}
    for found in keyed_fields(StudySpec).values():
        if found.key.is_identity:
            values |= parts.get(found.field, {found.name: getattr(spec, found.field)})
    return values | ({"confirms": spec.confirms} if spec.confirms else {})


def render_objective(spec: StudySpec) -> str:
    """Render `data.sklearn digits, model mlp`, or the function's name."""
    values = dict(_leaves("objective", spec.objective.written()))
    return ", ".join(f"{path.removeprefix('objective.')} {v}" for path, v in values.items())


def _objective_values(objective: Objective) -> dict[str, Any]:
    """Return `{"objective.data.sklearn": "digits", ...}`, or `{"objective": "train.py:train"}`."""
    return dict(_leaves("objective", objective.identity()))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, part in value.items():
        yield from _leaves(f"{path}.{key}", part)


def _notice_values(spec: StudySpec) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for found in keyed_fields(StudySpec).values():
        if found.key.is_identity or found.name == "name":
            continue
        value = getattr(spec, found.field)
        if isinstance(value, Model):
            local = _local_keys().get(found.field, frozenset())
            dumped = value.model_dump(exclude=set(local))
            words = _words(type(value))
            values |= {
                f"{found.name}.{k}": words.get(k, v) if v is None else v for k, v in dumped.items()
            }
        else:
            values[found.name] = value
    return values


def _words(record: type[Model]) -> dict[str, str]:
    """Return the words that are stored as None, by field."""
    keys = keyed_fields(record).values()
    return {k.field: k.key.value.word for k in keys if isinstance(k.key.value, OrWord)}


def _remarks() -> dict[str, str]:
    """Return why the stored value holds, by path."""
    remarks = {}
    for found in keyed_fields(StudySpec).values():
        remarks[found.name] = found.key.stays
        if isinstance(found.key.value, type):
            for part in keyed_fields(found.key.value).values():
                remarks[f"{found.name}.{part.field}"] = part.key.stays
    return remarks


def _differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[Difference, ...]:
    paths = [*stored, *(path for path in given if path not in stored)]
    return tuple(
        Difference(path=path, stored=_text(stored, path), given=_text(given, path))
        for path in paths
        if _text(stored, path) != _text(given, path) or stored.get(path) != given.get(path)
    )


def _text(values: Mapping[str, Any], path: str) -> str:
    return _render(values[path]) if path in values else _ABSENT


def _render(value: object) -> str:
    """Render a value as the study file would write it."""
    match value:
        case FloatRange() | IntRange():
            log = ", log: true" if value.log else ""
            step = f", step: {value.step}" if _has_step(value) else ""
            grid = f", grid: {value.grid}" if value.grid is not None else ""
            bounds = f"[{value.low}, {value.high}]"
            rest = f"{_render_when(value.when)}{_render_near(value.near)}"
            return f"{{{value.kind}: {bounds}{log}{step}{grid}{rest}}}"
        case Choice():
            choices = ", ".join(map(_render, value.choices))
            return f"{{choice: [{choices}]{_render_when(value.when)}{_render_near(value.near)}}}"
        case Algorithm():
            return render_algorithm(value)
        case Confirms():
            return f"trials {', '.join(map(str, value.trials))} under {value.seeds} seeds"
        case Mapping():
            return f"{{{', '.join(f'{name}: {_render(part)}' for name, part in value.items())}}}"
        case tuple() | list():
            return f"[{', '.join(map(_render, value))}]"
        case StrEnum():
            return str(value)
        case str() | None | bool():
            return render_inline(value)
        case _:
            return str(value)


def _render_when(when: When | None) -> str:
    if when is None:
        return ""
    values = ", ".join(map(_render, when.values))
    is_single = len(when.values) == 1
    return f", when: {{{when.parameter}: {values if is_single else f'[{values}]'}}}"


def _render_near(near: Near | None) -> str:
    if near is None:
        return ""
    values = ", ".join(map(_render, near.values))
    return f", near: {values}" if len(near.values) == 1 else f", near: {{range: [{values}]}}"


def render_algorithm(algorithm: Algorithm) -> str:
    """Render a sampler or pruner as the study file would write it."""
    if algorithm.name == "any":
        return f"[{', '.join(map(render_algorithm, algorithm.parts))}]"
    settings = {
        name: _render(value)
        for name, value in sorted(algorithm.settings.items())
        if value is not None
    }
    for part in algorithm.parts:
        settings["wrapped"] = render_algorithm(part)
    text = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return f"{{{algorithm.name}: {{{text}}}}}" if text else algorithm.name


def _has_step(given: FloatRange | IntRange) -> bool:
    return given.step != 1 if isinstance(given, IntRange) else given.step is not None
