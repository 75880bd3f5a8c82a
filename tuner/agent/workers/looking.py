"""A look at the data of a study by a one-shot child, before any study is created."""

from pathlib import Path

from tuner.agent.workers.one_shot import finish_child, start_child
from tuner.study.data_facts import ColumnFacts, DataFacts
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
