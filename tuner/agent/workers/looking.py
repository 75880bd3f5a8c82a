"""Looks at the data of a study by one-shot children, before any study is created."""

from collections.abc import Sequence
from pathlib import Path

from tuner.agent.workers.one_shot import finish_child, start_child
from tuner.study.data_facts import BaselineFacts, ColumnFacts, DataFacts
from tuner.study_file.model import StudySpec


def look_at_data(
    spec: StudySpec, folder: Path, data_folder: Path, *, verify: bool
) -> DataFacts | None:
    """Look at the data; None for an objective without data to look at.

    `verify` hashes all files again. Raises `RunFailed` if the child fails.
    """
    request = spec.objective.look_request(folder)
    if request is None:
        return None
    given = {"data": request, "data_folder": str(data_folder), "verify": verify}
    with start_child(("look",), given) as child:
        answer = finish_child(child, "looking at the data failed")
    columns = [ColumnFacts(**column) for column in answer.pop("columns")]
    if answer["task"]:
        names = {*spec.params, *spec.search_space}
        answer["faults"] += spec.objective.task_faults(answer["task"], names, spec.metric)
    return DataFacts(columns=columns, **answer)


def fit_baselines(
    spec: StudySpec, folder: Path, data_folder: Path
) -> Sequence[BaselineFacts] | None:
    """Fit simple models to the training rows; None if only the objective can read its data.

    Raises `RunFailed` if the child fails.
    """
    request = spec.objective.baseline_request(spec.params, spec.search_space, folder)
    if request is None:
        return None
    more = {"data_folder": str(data_folder), "metric": spec.metric, "seed": spec.seed}
    with start_child(("baseline",), {**request, **more}) as child:
        answer = finish_child(child, "fitting simple models failed")
    return [BaselineFacts(**baseline) for baseline in answer["baselines"]]
