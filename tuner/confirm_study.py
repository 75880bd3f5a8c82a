"""`tuner confirm`: the best params again, under fresh seeds, as a study of their own."""

from dataclasses import dataclass
from pathlib import Path

from tuner.agent.port import View
from tuner.export.code_source import folder_of_code, take_local_keys
from tuner.export.linked_study import ConfirmPlan, plan_linked_study
from tuner.results.confirmation import Confirmation, load_confirmation
from tuner.run_study import RunOptions, RunOutcome, work
from tuner.storage.opening import open_database
from tuner.storage.schema.migrations import migrate
from tuner.study.command_line import file_option, study_command


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """The end of this machine's part, and the confirmation so far."""

    outcome: RunOutcome
    confirmation: Confirmation | None  # None: the database is away


def confirm(
    name: str, plan: ConfirmPlan, study_file: Path | None, options: RunOptions, view: View
) -> Confirmed:
    """Create or join the linked study and work on it until it ends; other machines may join.

    `study_file` locates the objective's code, if it is the user's. Raises `TunerError`.
    """
    with open_database(options.storage) as database:
        migrate(database)
        spec, is_open = plan_linked_study(database, name, plan)
        # The linked study may not be there yet: a refusal names the one that the user knows.
        search = spec.model_copy(update={"name": name})
        folder = folder_of_code(search, study_file, study_command("confirm", name, file_option()))
        notes = [f"study {name} continues; these are its best trials so far"] if is_open else []
        spec = take_local_keys(spec, study_file)
        outcome = work(spec, folder, options, view, notes, database=database)
        has_answer = outcome.summary is not None
        confirmation = load_confirmation(database, spec.name) if has_answer else None
    return Confirmed(outcome=outcome, confirmation=confirmation)
