"""Checks of sampler and pruner against the search space, the budget and the trial length.

They report faults if an algorithm cannot work at all, and warnings if it would not do what the user
intends.
"""

from collections.abc import Iterator

from tuner.study_file.algorithms.reading import FIRST_MODEL
from tuner.study_file.model import Algorithm, Budget
from tuner.study_file.params.grid import count_cells, is_finite
from tuner.study_file.params.space import Choice, FloatRange, Range, SearchSpace
from tuner.study_file.text.items import Item, Section, read_entries
from tuner.study_file.text.yaml_nodes import ListNode

# Trials before which each model uses random search.
_STARTUP = ("n_startup_trials", "population_size")
_FIRST_STEPS = ("min_resource", "n_warmup_steps")
# Pruners that compare a trial with others before its end, and schedules of the learning rate with
# which a trial improves late.
_COMPARING = ("asha", "hyperband", "median", "percentile")
_LATE_SCHEDULES = ("cosine", "one_cycle")


def check_sampler(
    item: Item | None, sampler: Algorithm | None, ranges: Section, space: SearchSpace
) -> None:
    """Report faults if a sampler cannot work on this space."""
    if sampler is not None and sampler.name not in FIRST_MODEL:
        for name, given in space.items():
            if given.near is not None and name in ranges:
                near = (read_entries(ranges[name], "") or {})["near"]
                near.key_fault(
                    f"has an effect only with `sampler: rung_gp`, rung_tpe or mixed, not with "
                    f"{sampler.name}; remove it or change the sampler"
                )
    if item is None or sampler is None:
        return
    if sampler.name == "grid":
        for name, given in space.items():
            if name in ranges and not is_finite(given):
                ranges[name].key_fault(
                    "`sampler: grid` needs finitely many values; add `grid: 5` for 5 points "
                    "or a `step:`"
                )
    is_whole = ranges and len(space) == len(ranges)  # no range was refused
    if sampler.name == "cmaes" and is_whole and sum(map(_suits_cmaes, space.values())) < 2:
        item.fault("cmaes needs two or more float or int ranges that apply in every trial; use tpe")


def _suits_cmaes(given: Range) -> bool:
    """Return whether CMA-ES models it; Optuna draws constants, choices and conditions at random."""
    if isinstance(given, Choice):
        return False
    return given.when is None and given.low < given.high


def check_pruner(item: Item | None, pruner: Algorithm | None, n_epochs: object) -> None:
    """Report a fault if a pruner cannot work without the length of a trial."""
    for part in _with_parts(pruner):
        knows = part.settings.get("max_resource") is not None or isinstance(n_epochs, int)
        if item is not None and part.name == "hyperband" and not knows:
            item.fault("hyperband needs `max_resource`, the steps of a full trial; add it")


def warn_of_ranges(ranges: Section, space: SearchSpace) -> None:
    """Warn of ranges that are probably mistakes."""
    for name, given in space.items():
        if isinstance(given, Choice) or name not in ranges:
            continue
        if given.low == given.high:
            ranges[name].key_warn(f"is constant ({given.low}); move it to params")
        is_plain = isinstance(given, FloatRange) and not (given.log or given.step)
        if is_plain and given.low > 0 and given.low * 100 < given.high:
            ranges[name].key_warn(
                f"spans more than two decades ({given.low} to {given.high}); add `log: true`, "
                "or its low end is hardly ever tried"
            )


def warn_of_budget(
    section: Section, sampler: Algorithm | None, budget: Budget | None, space: SearchSpace
) -> None:
    """Warn of a budget that does not suit the sampler."""
    if sampler is not None and sampler.name == "grid" and "pruner" not in section:
        section["sampler"].key_warn(
            "the default pruner asha stops most cells early; `pruner: none` trains each to its end"
        )
    if sampler is None or budget is None or budget.trials is None:
        return
    _warn_of_enqueued(section.get("enqueue"), budget.trials)
    place = section.get("sampler") or section["budget"]
    if sampler.name == "grid":
        n_cells = count_cells(space)
        if n_cells is not None and n_cells > budget.trials:
            place.key_warn(
                f"the grid has {n_cells:,} cells and budget.trials is {budget.trials:,}: the rest "
                "is not tried; raise trials or take fewer points"
            )
    _warn_of_repeats(section, sampler, budget.trials, space)
    n_first = FIRST_MODEL.get(sampler.name)
    if n_first is not None and budget.trials < n_first:
        section["budget"].key_warn(
            f"trials ({budget.trials:,}) are fewer than the {n_first} from which {sampler.name} "
            "learns: all are random; raise trials"
        )
    for name in _STARTUP:
        n_startup = sampler.settings.get(name)
        if isinstance(n_startup, int) and budget.trials < n_startup:
            section["budget"].key_warn(
                f"trials ({budget.trials:,}) are fewer than {name} of {sampler.name} "
                f"({n_startup:,}), which search at random; raise trials or lower {name}"
            )


def _warn_of_repeats(
    section: Section, sampler: Algorithm, n_trials: int, space: SearchSpace
) -> None:
    """Warn of more trials than there are combinations of params."""
    is_grid = sampler.name == "grid"
    n_combinations = count_cells(space if is_grid else _without_grids(space))
    n_enqueued = _count_enqueued(section.get("enqueue")) if is_grid else 0
    if n_combinations is None or n_trials <= n_combinations + n_enqueued:
        return
    place = (read_entries(section["budget"], "") or {})["trials"]
    if is_grid:
        place.warn(
            f"{n_trials:,} trials are more than the {n_combinations:,} cells of the grid: the "
            "study ends when each was tried; lower trials or add values"
        )
        return
    place.key_warn(
        f"{n_trials:,} trials have only {n_combinations:,} distinct combinations of params: the "
        "others repeat some, with other seeds; lower trials, add values, or try each "
        "combination once with `sampler: grid`"
    )


def _without_grids(space: SearchSpace) -> SearchSpace:
    """Return the space for other samplers, which take any value of a range."""
    return {
        name: given if isinstance(given, Choice) else given.model_copy(update={"grid": None})
        for name, given in space.items()
    }


def _count_enqueued(item: Item | None) -> int:
    return len(item.node.items) if item and isinstance(item.node, ListNode) else 0


def _warn_of_enqueued(item: Item | None, n_trials: int) -> None:
    n_enqueued = _count_enqueued(item)
    if item is not None and n_enqueued > n_trials:
        item.key_warn(
            f"has {n_enqueued:,} trials and budget.trials is {n_trials:,}: the rest waits; raise "
            "trials"
        )


def warn_of_pruner(item: Item | None, pruner: Algorithm | None, n_epochs: object) -> None:
    """Warn of a pruner that starts when a trial is over."""
    if item is None or not isinstance(n_epochs, int):
        return
    for part in _with_parts(pruner):
        for name in _FIRST_STEPS:
            first = part.settings.get(name)
            if isinstance(first, int) and first > 1 and first >= n_epochs:
                item.key_warn(
                    f"{name} of {part.name} ({first:,}) is not below params.epochs "
                    f"({n_epochs:,}): nothing is pruned; lower it"
                )


def warn_of_schedules(ranges: Section, space: SearchSpace, pruner: Algorithm | None) -> None:
    """Warn of schedules whose trials look worse at early rungs than they are."""
    given = space.get("schedule")
    if not isinstance(given, Choice) or "schedule" not in ranges or len(given.choices) < 2:
        return
    late = [name for name in _LATE_SCHEDULES if name in given.choices]
    comparing = [part.name for part in _with_parts(pruner) if part.name in _COMPARING]
    if late and comparing:
        ranges["schedule"].key_warn(
            f"trials with {' or '.join(late)} improve late, so {comparing[0]} compares them with "
            "others too early; fix the schedule under params, or write `pruner: none`"
        )


def _with_parts(pruner: Algorithm | None) -> Iterator[Algorithm]:
    """Yield a pruner and those inside it."""
    if pruner is not None:
        yield pruner
        for part in pruner.parts:
            yield from _with_parts(part)
