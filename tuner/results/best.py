"""The best trial of a study: one rule for every command, page and file."""

from dataclasses import dataclass
from enum import StrEnum

from tuner.errors import NoCompleteTrial, UsageError
from tuner.results.confirmation import Confirmation
from tuner.storage.reading.rows import StudyRow
from tuner.study.command_line import file_option, study_command
from tuner.study_file.identity import parse_spec


class By(StrEnum):
    """The criterion of the best trial."""

    VALUE = "value"  # the best value of the search
    CONFIRMED = "confirmed"  # the best mean under fresh seeds, see `tuner confirm`


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best trial, and its criterion."""

    number: int
    by: By


def choose_best(
    study: StudyRow, by_value: int | None, confirmation: Confirmation | None, by: By | None = None
) -> Choice | None:
    """Return the confirmed best trial if there is one to trust, otherwise the best by its value.

    A confirmation is trusted when it is finished and includes the trial with the best value: a
    better trial that was found later is not confirmed. `by` overrides that; None without a COMPLETE
    trial. Raises `UsageError` and `NoCompleteTrial` if a confirmed trial is requested and there is
    none.
    """
    mine = confirmation if confirmation is not None and confirmation.name != study.name else None
    if by is By.CONFIRMED:
        return Choice(number=_confirmed(study, mine), by=by)
    if by_value is None:
        return None
    winner = confirmed_best(by_value, mine) if by is None else None
    if winner is not None:
        return Choice(number=winner, by=By.CONFIRMED)
    return Choice(number=by_value, by=By.VALUE)


def confirm_command(name: str, *, needs_study_file: bool, file: str | None = None) -> str:
    """Return `tuner confirm NAME`, with the study file if that names the code."""
    return study_command("confirm", name, file_option(file, is_needed=needs_study_file))


def confirmed_best(by_value: int, confirmation: Confirmation | None) -> int | None:
    """Return the best trial of a finished confirmation that includes the best value, or None."""
    if confirmation is None or not confirmation.is_finished or confirmation.winner is None:
        return None
    is_included = by_value in {candidate.trial for candidate in confirmation.candidates}
    return confirmation.winner.trial if is_included else None


def _confirmed(study: StudyRow, confirmation: Confirmation | None) -> int:
    if confirmation is None:
        spec = parse_spec(study.spec)
        if spec.confirms is not None:
            raise UsageError(f"study {study.name!r} confirms study {spec.confirms.study!r} itself")
        command = confirm_command(study.name, needs_study_file=spec.needs_study_file)
        raise UsageError(f"study {study.name!r} is not confirmed; {command} does it")
    if confirmation.winner is None:
        raise NoCompleteTrial(
            f"no seed of study {confirmation.name!r} is COMPLETE; "
            f"{study_command('status', confirmation.name)} shows why"
        )
    return confirmation.winner.trial
