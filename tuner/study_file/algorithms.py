"""`sampler:` and `pruner:`: a bare name, or a name with settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tuner.study_file import not_yet
from tuner.study_file.faults import listed
from tuner.study_file.intervals import Interval
from tuner.study_file.items import (
    Item,
    Keys,
    read_bool,
    read_entries,
    read_int,
    read_option,
    read_section,
)
from tuner.study_file.model import Algorithm
from tuner.study_file.yaml_nodes import ListNode, MapNode

SettingValue = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of an algorithm."""

    read: Callable[[Item], SettingValue | None]
    default: SettingValue


def _whole(low: int, high: int, default: int) -> Setting:
    return Setting(read=lambda item: read_int(item, Interval(low=low, high=high)), default=default)


def _flag(default: bool) -> Setting:
    return Setting(read=read_bool, default=default)


# TPE: Optuna's names and defaults; `multivariate` is what Optuna's None means here, where
# there is one objective. Those that Optuna deprecates or that are functions are left out.
SAMPLERS: Mapping[str, Mapping[str, Setting]] = {
    "tpe": {
        "n_startup_trials": _whole(0, 10_000_000, 10),
        "n_ei_candidates": _whole(1, 100_000, 24),
        "multivariate": _flag(True),
        "group": _flag(False),
        "constant_liar": _flag(True),
    },
    "random": {},
}
PRUNERS: Mapping[str, Mapping[str, Setting]] = {
    "asha": {
        "min_resource": _whole(1, 1_000_000, 1),
        "reduction_factor": _whole(2, 1_000_000, 3),
    },
    "none": {},
}

SETTING_HINTS: Mapping[str, Mapping[str, str]] = {
    "tpe": {"seed": "remove it; the study's own `seed:` is used"}
    | dict.fromkeys(
        (
            "gamma",
            "weights",
            "prior_weight",
            "consider_prior",
            "consider_magic_clip",
            "consider_endpoints",
            "warn_independent_sampling",
            "constraints_func",
        ),
        "not supported: Optuna has deprecated it; remove it",
    )
}


def read_sampler(item: Item | None) -> Algorithm | None:
    """The sampler with all its settings, defaults filled in; TPE when none is named."""
    if item is None:
        return _algorithm("tpe", SAMPLERS["tpe"], {})
    sampler = _read_algorithm(item, SAMPLERS, not_yet.SAMPLERS, "sampler")
    if sampler and sampler.settings.get("group") and not sampler.settings["multivariate"]:
        item.fault("`group: true` needs `multivariate: true`; change one of them")
        return None
    return sampler


def read_pruner(item: Item | None) -> Algorithm | None:
    """The pruner with all its settings, defaults filled in; ASHA when none is named."""
    if item is None:
        return _algorithm("asha", PRUNERS["asha"], {})
    if isinstance(item.node, ListNode):
        item.fault(f"lists of pruners are not supported yet; use one of {listed(PRUNERS)}")
        return None
    return _read_algorithm(item, PRUNERS, not_yet.PRUNERS, "pruner")


def check_pruner(item: Item | None, pruner: Algorithm | None, n_epochs: object) -> None:
    """A pruner that could never prune is a mistake where somebody asked for it."""
    if item is None or pruner is None or not isinstance(n_epochs, int):
        return
    first = pruner.settings.get("min_resource", 0)
    assert isinstance(first, int)
    if first > n_epochs:
        item.fault(f"min_resource ({first}) is beyond params.epochs ({n_epochs}); lower it")


def _read_algorithm(
    item: Item, table: Mapping[str, Mapping[str, Setting]], later: tuple[str, ...], what: str
) -> Algorithm | None:
    names = tuple(table)
    if not isinstance(item.node, MapNode):
        name = read_option(item, names, later, what)
        return _algorithm(name, table[name], {}) if name else None
    entries = read_entries(item, "") or {}
    if len(entries) != 1:
        item.fault(f"must be one name with its settings; choose one of {listed(names)}")
        return None
    ((name, settings),) = entries.items()
    if name in later:
        settings.key_fault(f"not supported yet; use {listed(names)}")
    elif name not in table:
        read_option(_name_item(settings), names, later, what)
    else:
        return _read_settings(name, table[name], settings)
    return None


def _name_item(settings: Item) -> Item:
    """The key of `{tpe: ...}` as a value: a name like any other."""
    assert settings.key is not None
    return Item(node=settings.key, path=settings.path, faults=settings.faults)


def _read_settings(name: str, known: Mapping[str, Setting], item: Item) -> Algorithm | None:
    if not known:
        item.fault(f"{name} has no settings; write just {name}")
        return None
    hints = SETTING_HINTS.get(name, {})
    section = read_section(item, Keys(allowed=tuple(known), hints=hints))
    if section is None:
        return None
    given = {key: known[key].read(entry) for key, entry in section.items()}
    return None if None in given.values() else _algorithm(name, known, _without_none(given))


def _without_none(values: Mapping[str, SettingValue | None]) -> dict[str, SettingValue]:
    return {key: value for key, value in values.items() if value is not None}


def _algorithm(
    name: str, known: Mapping[str, Setting], given: Mapping[str, SettingValue]
) -> Algorithm:
    defaults = {key: setting.default for key, setting in known.items()}
    return Algorithm(name=name, settings={**defaults, **given})
