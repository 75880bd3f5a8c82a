"""`sampler:` and `pruner:`: a bare name, or a name with settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tuner.study.trial import ParamValue
from tuner.study_file.model import Algorithm
from tuner.study_file.text.faults import listed
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import (
    Item,
    Keys,
    Section,
    has_refused_key,
    read_entries,
    read_list,
    read_option,
    read_section,
)
from tuner.study_file.text.yaml_nodes import ListNode, MapNode
from tuner.study_file.values import Flag, OneOf, Real, Value, Whole

_MANY = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of an algorithm."""

    value: Value
    default: ParamValue = None  # None: nothing is set
    example: str = ""  # an example value; not empty if the setting has no default


def _whole(low: int, high: int, default: int | None, example: str = "") -> Setting:
    return Setting(value=Whole(low, high), default=default, example=example)


def _number(interval: Interval, default: float | None, example: str = "") -> Setting:
    return Setting(value=Real(interval), default=default, example=example)


def _flag(default: bool) -> Setting:
    return Setting(value=Flag(), default=default)


def _one_of(*names: str) -> Setting:
    return Setting(value=OneOf(names), default=names[0])


_N_STARTUP = partial(_whole, 0, 10_000_000)

# By Optuna's names and defaults. Functions, deprecated settings and those for several objectives
# are left out. TPE's `multivariate` has the value of Optuna's None for one objective. QMC is
# scrambled by default: Optuna's is not, because its machines might not agree on a seed; the study's
# seed is the same everywhere.
SAMPLERS: Mapping[str, Mapping[str, Setting]] = {
    "tpe": {
        "n_startup_trials": _N_STARTUP(10),
        "n_ei_candidates": _whole(1, 100_000, 24),
        "multivariate": _flag(True),
        "group": _flag(False),
        "constant_liar": _flag(True),
    },
    "rung_gp": {},
    "rung_tpe": {},
    "mixed": {},
    "random": {},
    "grid": {},
    "qmc": {"qmc_type": _one_of("sobol", "halton"), "scramble": _flag(True)},
    "cmaes": {
        "n_startup_trials": _N_STARTUP(1),
        "popsize": _whole(5, 10_000, None),
        "consider_pruned_trials": _flag(False),
    },
    "gp": {"n_startup_trials": _N_STARTUP(10), "deterministic_objective": _flag(False)},
    "nsga2": {
        "population_size": _whole(2, 100_000, 50),
        "mutation_prob": _number(Interval(low=0, high=1), None),
        "crossover_prob": _number(Interval(low=0, high=1), 0.9),
        "swapping_prob": _number(Interval(low=0, high=1), 0.5),
    },
}

DEFAULT_SAMPLER = "rung_gp"
_SAMPLER_REASON = (
    "sampler rung_gp, the default, learns from the first epochs of all trials, also of those that "
    "run or were pruned, so it suits a pruner and many trials at a time"
)
_PRUNER_REASON = (
    "pruner asha, the default, lets the best third of the trials continue after 1, 3, 9, ... "
    "reports; "
)
_FOR_TRIALS = (
    "a budget of trials counts pruned ones as well, so it shortens the search, and `pruner: none` "
    "is the thorough and slow alternative"
)
_FOR_AMOUNTS = "with this budget, {what} that it saves go to more trials"
# Trials with a value from which on a sampler of tuner's own has a model; before, it is random.
FIRST_MODEL: Mapping[str, int] = {"rung_gp": 8, "rung_tpe": 11, "mixed": 8}


def explain_defaults(unnamed: Collection[str], amounts: Sequence[str]) -> list[str]:
    """Return why a study file that does not name its sampler or pruner gets these.

    `amounts`: the amounts that its budget limits other than trials, such as "epochs".
    """
    reasons = []
    if "sampler" in unnamed:
        reasons.append(_SAMPLER_REASON)
    if "pruner" in unnamed:
        what = " and ".join(f"the {amount}" for amount in amounts)
        how = _FOR_AMOUNTS.format(what=what) if amounts else _FOR_TRIALS
        reasons.append(_PRUNER_REASON + how)
    return reasons


_STRIDE = {"n_warmup_steps": _whole(0, _MANY, 0), "interval_steps": _whole(1, _MANY, 1)}
_PERCENTILE = {"n_startup_trials": _N_STARTUP(5), **_STRIDE, "n_min_trials": _whole(1, _MANY, 1)}
_HALVING = {"min_resource": _whole(1, 1_000_000, 1), "reduction_factor": _whole(2, 1_000_000, 3)}
PRUNERS: Mapping[str, Mapping[str, Setting]] = {
    "asha": _HALVING,
    "hyperband": {**_HALVING, "max_resource": _whole(1, _MANY, None)},
    "median": _PERCENTILE,
    "percentile": {
        "percentile": _number(Interval(low=0, high=100), None, "percentile: 25"),
        **_PERCENTILE,
    },
    "patient": {
        "patience": _whole(0, _MANY, None, "patience: 5"),
        "min_delta": _number(Interval(low=0), 0.0),
    },
    "threshold": {
        "lower": _number(Interval(), None),
        "upper": _number(Interval(), None),
        **_STRIDE,
    },
    "none": {},
}
_WRAPPED = "wrapped"  # a pruner inside `patient`

_DEPRECATED = "not supported: Optuna has deprecated it; remove it"
_SEED = {"seed": "remove it; the study's own `seed:` is used"}
SETTING_HINTS: Mapping[str, Mapping[str, str]] = {
    "tpe": _SEED
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
        _DEPRECATED,
    ),
    "qmc": _SEED,
    "cmaes": _SEED
    | dict.fromkeys(("x0", "sigma0", "restart_strategy", "inc_popsize"), _DEPRECATED)
    | {"with_margin": "not supported: it keeps state in the record; remove it"},
    "gp": _SEED,
    "nsga2": _SEED,
}


def read_sampler(item: Item | None) -> Algorithm | None:
    """Read the sampler with all its settings, defaults filled in; `rung_gp` when none is named."""
    if item is None:
        return _algorithm(DEFAULT_SAMPLER, SAMPLERS[DEFAULT_SAMPLER], {})
    named = _read_name(item, SAMPLERS, "sampler")
    sampler = _read_settings(item, named, SAMPLERS) if named else None
    if sampler and sampler.settings.get("group") and not sampler.settings["multivariate"]:
        item.fault("`group: true` needs `multivariate: true`; change one of them")
        return None
    return sampler


def read_pruner(item: Item | None) -> Algorithm | None:
    """Read the pruner with all its settings, defaults filled in; ASHA when none is named.

    Each pruner of a list prunes; `patient` may wrap another one.
    """
    if item is None:
        return _algorithm("asha", PRUNERS["asha"], {})
    if isinstance(item.node, ListNode):
        return _read_list(item)
    named = _read_name(item, PRUNERS, "pruner")
    if named is None:
        return None
    pruner = _read_settings(item, named, PRUNERS)
    if pruner and not _check_settings(named.settings or item, pruner):
        return None
    wrapped = _wrapped_item(named)
    if wrapped is None:
        return pruner
    part = read_pruner(wrapped)
    if part and part.name == "none":
        wrapped.fault("none inside patient would never prune; remove `wrapped` or name a pruner")
        return None
    return pruner.model_copy(update={"parts": (part,)}) if pruner and part else None


def _wrapped_item(named: "_Named") -> Item | None:
    if named.name != "patient" or named.settings is None:
        return None
    is_mapping = isinstance(named.settings.node, MapNode)
    return (read_entries(named.settings, "") or {}).get(_WRAPPED) if is_mapping else None


def _read_list(item: Item) -> Algorithm | None:
    items = read_list(item, "") or []
    if not items:
        item.fault(f"is empty; name at least one of {listed(PRUNERS)}")
    parts = []
    for entry in items:
        if isinstance(entry.node, ListNode):
            entry.fault("must be one pruner; lists cannot be nested")
            continue
        part = read_pruner(entry)
        if part and part.name == "none":
            entry.fault("none next to others has no effect; remove it")
        parts.append(part)
    known = tuple(part for part in parts if part is not None)
    if not items or len(known) < len(items):
        return None
    return known[0] if len(known) == 1 else Algorithm(name="any", parts=known)


def _check_settings(item: Item, pruner: Algorithm) -> bool:
    """Report faults between the settings of one pruner; return whether there are none."""
    settings = pruner.settings
    lower, upper = settings.get("lower"), settings.get("upper")
    low, high = settings.get("min_resource"), settings.get("max_resource")
    if pruner.name == "threshold" and lower is None and upper is None:
        item.fault("threshold needs a bound; write {threshold: {upper: 3.0}} or `lower:`")
    elif isinstance(lower, float) and isinstance(upper, float) and lower > upper:
        item.fault(f"lower ({lower}) is greater than upper ({upper}); swap them")
    elif isinstance(low, int) and isinstance(high, int) and high < low:
        item.fault(f"max_resource ({high}) is less than min_resource ({low}); raise it")
    else:
        return True
    return False


@dataclass(frozen=True, kw_only=True)
class _Named:
    name: str
    settings: Item | None  # None for a bare name


def _read_name(item: Item, table: Mapping[str, Mapping[str, Setting]], what: str) -> _Named | None:
    names = tuple(table)
    if not isinstance(item.node, MapNode):
        name = read_option(item, names, what=what)
        return _Named(name=name, settings=None) if name else None
    entries = read_entries(item, "") or {}
    if len(entries) != 1:
        item.fault(f"must be one name with its settings; choose one of {listed(names)}")
        return None
    ((name, settings),) = entries.items()
    if name in table:
        return _Named(name=name, settings=settings)
    read_option(_name_item(settings), names, what=what)
    return None


def _name_item(settings: Item) -> Item:
    """Return the key of `{tpe: ...}` as a value: a name like any other."""
    assert settings.key is not None
    return Item(node=settings.key, path=settings.path, faults=settings.faults)


def _read_settings(
    item: Item, named: _Named, table: Mapping[str, Mapping[str, Setting]]
) -> Algorithm | None:
    name, known = named.name, table[named.name]
    section: Section | None = {}
    if named.settings is not None:
        if not known:
            named.settings.fault(f"{name} has no settings; write just {name}")
            return None
        allowed = (*known, _WRAPPED) if name == "patient" else tuple(known)
        keys = Keys(allowed=allowed, hints=SETTING_HINTS.get(name, {}))
        section = read_section(named.settings, keys)
    if section is None:
        return None
    given = {key: known[key].value.read(entry) for key, entry in section.items() if key != _WRAPPED}
    if named.settings is not None and has_refused_key(named.settings, section):
        return None  # the missing setting may be the intended one
    missing = [s.example for key, s in known.items() if s.example and key not in section]
    for example in missing:
        key = example.split(":")[0]
        (named.settings or item).fault(f"{name} needs `{key}`; write {{{name}: {{{example}}}}}")
    return None if missing or None in given.values() else _algorithm(name, known, given)


def _algorithm(
    name: str, known: Mapping[str, Setting], given: Mapping[str, ParamValue]
) -> Algorithm:
    defaults = {key: setting.default for key, setting in known.items()}
    return Algorithm(name=name, settings={**defaults, **given})
