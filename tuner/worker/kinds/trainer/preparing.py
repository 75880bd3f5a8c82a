"""The data of the built-in trainer, and the user's model and loss, before a study is made.

What fails here would fail every trial.
"""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tuner.training.data.preparing import prepare
from tuner.worker.bad_code import BadCode
from tuner.worker.objective import Prepared


def prepare_trainer(request: Mapping[str, Any]) -> Prepared:
    """Prepare `{"data": ..., "own": ..., "data_folder": parent}`.

    "own" is None, or `{"folder": the study file's, "model": ..., "loss": ..., "params": the fixed
    ones, "searched": names}`; model or loss are None where they are built in.
    """
    code = {"tuner": metadata.version("tuner")}
    own, summary = request["own"], ""
    if own is not None:
        from tuner.worker.kinds.trainer.own_code import look_at  # noqa: PLC0415 - loads torch

        code |= look_at(own)
        named = ((kind, own[kind]) for kind in ("model", "loss") if own[kind])
        summary = "".join(f"; {kind} {name}" for kind, name in named)
    try:
        prepared = prepare(request["data"], Path(request["data_folder"]))
    except Exception as error:  # whatever it is, the agent needs one sentence
        raise BadCode(f"cannot prepare the data: {_sentence(error)}") from error
    return Prepared(
        folder=str(prepared.folder),
        fingerprint=prepared.fingerprint,
        summary=prepared.summary + summary,
        metrics=dict(prepared.metrics),
        code=code,
    )


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
