"""Reads of the loss curves of trials, and their judgement in a snapshot."""

from collections.abc import Sequence

from tuner.results.diagnosis import N_JUDGED, Advice, Diagnosis, Losses, advise, diagnose
from tuner.results.summary import StudySummary, summarize
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.columns import read_curves, read_metric_curves
from tuner.storage.reading.rows import StudyRow, find_row, read_best_numbers
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec

TRAINING_LOSS, VALIDATION_LOSS = "train_loss", "val_loss"


def read_diagnoses(
    connection: Snapshot, study: StudyRow, numbers: Sequence[int], noun: str
) -> dict[int, Diagnosis | None]:
    """Judge these trials; no entry for one that does not report both losses."""
    if not numbers:
        return {}
    train = read_metric_curves(connection, study.study_id, numbers, TRAINING_LOSS)
    if study.metric == VALIDATION_LOSS:
        validation = read_curves(connection, study.study_id, numbers, stride=1)
    else:
        validation = read_metric_curves(connection, study.study_id, numbers, VALIDATION_LOSS)
    return {
        number: diagnose(Losses(train=train[number], validation=validation[number]), noun)
        for number in numbers
        if number in train and number in validation
    }


def advise_study(spec: StudySpec, diagnoses: Sequence[Diagnosis | None]) -> Advice | None:
    """Return the advice that follows from the diagnoses of its best trials."""
    return advise(diagnoses, spec.search_space, spec.objective.helpful_params)


def load_watched(database: Database, name: str) -> tuple[StudySummary, Advice | None]:
    """Load a study at a glance, with the advice from its best trials; raises `NotFound`."""
    with database.reading() as connection:
        study = find_row(connection, name)
        spec = parse_spec(study.spec)
        best = read_best_numbers(connection, study.study_id, study.direction, N_JUDGED)
        diagnoses = read_diagnoses(connection, study, best, spec.step_noun)
        return summarize(connection, study), advise_study(spec, list(diagnoses.values()))
