"""`python -m tuner.worker baseline`: a child that fits simple models to the data of a study.

It reads the request as one JSON line and writes the models' validation metrics as another, or an
error.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.study_file.kinds.losses import BuiltInLoss
from tuner.training.data.dataset import Dataset, load_dataset
from tuner.training.data.preparing import prepare
from tuner.training.data.source import in_words
from tuner.training.final.baselines import fit_baselines
from tuner.training.final.evaluation import validate_outputs
from tuner.training.losses import built_in
from tuner.training.losses.built_in import Loss
from tuner.training.losses.metrics import Metrics, reported_names
from tuner.training.losses.own import OwnLoss
from tuner.worker.bad_code import BadCode
from tuner.worker.kinds.trainer.models import load_data, load_loss
from tuner.worker.one_shot import answer_once
from tuner.worker.streams import Streams


def main(arguments: list[str], streams: Streams) -> int:
    """Answer one request; return the exit code, 1 for an error."""
    return answer_once(streams, answer)


def answer(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `{"baselines": [{"name", "n_rows", "values"}]}` for a request of `prepare`.

    It has three more keys: "metric", the goal; "seed"; and "folder", of the study file.
    """
    try:
        prepared = prepare(given["data"], Path(given["data_folder"]), load_data)
        data = load_dataset(prepared.folder, "cpu")
        names = reported_names(given["metrics"] or None, given["metric"], data.task)
        metrics = Metrics(data, _loss_of(given, data), names)
        found = [
            {
                "name": baseline.name,
                "n_rows": baseline.n_rows,
                "values": validate_outputs(baseline.outputs(data.validation), data, metrics),
            }
            for baseline in fit_baselines(data, given["seed"])
        ]
    except BadCode as error:
        return {"error": str(error)}
    except Exception as error:  # a package's own error: people need a sentence
        return {"error": in_words(error)}
    return {"baselines": found}


def _loss_of(given: Mapping[str, Any], data: Dataset) -> Loss:
    loss = given["loss"]
    if isinstance(loss, str):
        return OwnLoss(load_loss(loss, given["folder"]), data.train.y_N.dtype, name=loss)
    return built_in.loss_of(data, BuiltInLoss.model_validate(loss) if loss else None)
