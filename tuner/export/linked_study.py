"""The study that confirms another one: its best params again, under fresh seeds."""

from collections.abc import Container
from dataclasses import dataclass

from tuner.errors import NoCompleteTrial, StudyMismatch, UsageError
from tuner.results.progress import StudyState, find_state
from tuner.results.summary import summarize, trials_of
from tuner.storage.connections.connection import Database
from tuner.storage.reading.rows import StudyRow, find_row, read_studies, read_trials
from tuner.storage.reading.shipping import read_top_numbers
from tuner.study.code import Code, changed_files
from tuner.study.command_line import run_study_command, study_command
from tuner.study.seeds import derive_seed
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import Algorithm, Budget, CodePolicy, Confirms, StudySpec
from tuner.study_file.sections import NAME_RULE, STUDY_NAME

LISTED = Algorithm(name="listed")


@dataclass(frozen=True, kw_only=True)
class ConfirmPlan:
    """The trials and seeds to train again."""

    n_top: int = 5
    n_seeds: int = 5
    name: str | None = None  # of the linked study; None: the study's with "-confirm"


def plan_linked_study(database: Database, name: str, plan: ConfirmPlan) -> tuple[StudySpec, bool]:
    """Return the linked study's spec, and whether the search continues, so that others may win.

    Raises `NotFound`, `NoCompleteTrial`, and `UsageError` for a study that confirms itself.
    """
    with database.reading() as connection:
        row = find_row(connection, name)
        spec = parse_spec(row.spec)
        if spec.confirms is not None:
            raise UsageError(
                f"study {name!r} confirms study {spec.confirms.study!r} itself; "
                f"{run_study_command(name)} works on it"
            )
        summary = summarize(connection, row)
        found = read_top_numbers(connection, row.study_id, row.direction, plan.n_top, distinct=True)
        if not found:
            raise NoCompleteTrial(
                f"study {name!r} has no COMPLETE trial ({trials_of(summary)} are final); "
                f"{study_command('status', name)} shows why"
            )
        trials = [read_trials(connection, row.study_id, [number])[0] for number in found]
        confirms = Confirms(
            study=name,
            study_created_at=row.created_at.isoformat(),
            trials=tuple(found),
            params=tuple(dict(trial.params) for trial in trials),
            seeds=plan.n_seeds,
        )
        is_open = find_state(summary) is not StudyState.FINISHED
        linked = _linked_name(name, plan.name, {row.name for row in read_studies(connection)})
    return link(spec, confirms, linked), is_open


def _linked_name(search: str, given: str | None, existing: Container[str]) -> str:
    """Return the name; raises `UsageError` for a new one that no study file could have."""
    name = given or f"{search}-confirm"
    if name in existing or STUDY_NAME.fullmatch(name):
        return name
    if given is None:
        name = name.lstrip("-")
    if not STUDY_NAME.fullmatch(name):
        raise UsageError(f"the name {name!r} is not one of a study: {NAME_RULE}; add --name")
    return name


def link(spec: StudySpec, confirms: Confirms, name: str) -> StudySpec:
    """Return the search's spec with a list instead of a sampler, no pruner, and a new seed.

    The seed determines the order of rows and the seeds of all trials, so that none of the search's
    is repeated.
    """
    return spec.model_copy(
        update={
            "name": name,
            "sampler": LISTED,
            "pruner": Algorithm(name="none"),
            "budget": Budget(trials=len(confirms.trials) * confirms.seeds),
            "seed": derive_seed(spec.seed, "confirm"),
            "enqueue": (),
            "checkpoints": spec.checkpoints.model_copy(update={"keep_best": 0}),
            "confirms": confirms,
        }
    )


def compare_with_search(
    database: Database, spec: StudySpec, fingerprint: str, code: Code
) -> list[str]:
    """Return warnings for a confirmation that differs from the search.

    Raises `StudyMismatch` for other data, and for other code if the study refuses that. There are
    none for a study that confirms no other, or whose search is gone.
    """
    if spec.confirms is None:
        return []
    with database.reading() as connection:
        rows = read_studies(connection, spec.confirms.study)
    if not rows or not is_search_of(rows[0], spec.confirms):
        return []
    (search,) = rows
    if search.fingerprint != fingerprint:
        raise StudyMismatch(
            f"the data here are not those of study {search.name!r} (fingerprint "
            f"{fingerprint[:12]}, not {search.fingerprint[:12]}): that would confirm nothing"
        )
    changed = changed_files(search.code or {}, code) if search.code is not None else ()
    if not changed:
        return []
    what = f"other code than that of study {search.name!r}: {', '.join(changed)}"
    if spec.code is CodePolicy.REFUSE:
        raise StudyMismatch(f"{what}, and it says `code: refuse`")
    return [what]


def is_search_of(row: StudyRow, confirms: Confirms) -> bool:
    """Return whether this is the same study, not another one of its name."""
    return row.created_at.isoformat() == confirms.study_created_at
