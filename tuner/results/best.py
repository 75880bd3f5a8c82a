"""The best trial of a study: one rule for every command, page and file."""

from dataclasses import dataclass
from enum import StrEnum

from tuner.errors import NoCompleteTrial, UsageError
from tuner.results.confirmation import Confirmation
from tuner.storage.reading import StudyRow
from tuner.study.command_line import study_command


class By(StrEnum):
    """How the best trial is chosen."""

    VALUE = "value"  # the best value of the search
    CONFIRMED = "confirmed"  # the best mean under fresh seeds, see `tuner confirm`


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best trial, and by what it is the best."""

    number: int
    by: By


def choose_best(
    study: StudyRow, by_value: int | None, confirmation: Confirmation | None, by: By | None = None
) -> Choice | None:
    """Return the confirmed best trial if there is one to trust, otherwise the best by its value.

    A confirmation is trusted when it is finished and includes the trial with the best value: a
    better trial that was found later is not confirmed. `by` overrides that; None without a
    COMPLETE trial. Raises `UsageError` and `NoCompleteTrial` where the confirmed trial is asked for
    and there is none.
    """
    mine = confirmation if confirmation is not None and confirmation.name != study.name else None
    if by is By.CONFIRMED:
        return Choice(number=_confirmed(study, mine), by=by)
    if by_value is None:
        return None
    winner = _trusted(by_value, mine) if by is None else None
    if winner is not None:
        return Choice(number=winner, by=By.CONFIRMED)
    return Choice(number=by_value, by=By.VALUE)


def _trusted(by_value: int, confirmation: Confirmation | None) -> int | None:
    """The confirmed best trial of a finished confirmation that includes the best value."""
    if confirmation is None or not confirmation.is_finished or confirmation.winner is None:
        return None
    is_included = by_value in {candidate.trial for candidate in confirmation.candidates}
    return confirmation.winner.trial if is_included else None


def _confirmed(study: StudyRow, confirmation: Confirmation | None) -> int:
    if confirmation is None:
        raise UsageError(
            f"study {study.name!r} is not confirmed; {study_command('confirm', study.name)} does it"
        )
    if confirmation.winner is None:
        raise NoCompleteTrial(
            f"no seed of study {confirmation.name!r} is COMPLETE; "
            f"{study_command('status', confirmation.name)} shows why"
        )
    return confirmation.winner.trial
