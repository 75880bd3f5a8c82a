"""tuner: hyperparameter optimization on your own machines.

Importing the package loads nothing else; the names below are loaded at first use. The command line
is in `tuner.cli`, the recipe in `tuner.run_study`, and the architecture is explained in the README
next to this file.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.api import Study, load_study, run
    from tuner.errors import TunerError
    from tuner.reporting import report
    from tuner.training.final.model import FinalModel, load_model, load_state
    from tuner.trial import Trial, TrialEnd, TrialPruned, TrialReleased

__all__ = [
    "FinalModel",
    "Study",
    "Trial",
    "TrialEnd",
    "TrialPruned",
    "TrialReleased",
    "TunerError",
    "load_model",
    "load_state",
    "load_study",
    "report",
    "run",
]

_HOMES = {
    "Study": "tuner.api",
    "load_study": "tuner.api",
    "run": "tuner.api",
    "TunerError": "tuner.errors",
    "report": "tuner.reporting",
    "FinalModel": "tuner.training.final.model",
    "load_model": "tuner.training.final.model",
    "load_state": "tuner.training.final.model",
    "Trial": "tuner.trial",
    "TrialEnd": "tuner.trial",
    "TrialPruned": "tuner.trial",
    "TrialReleased": "tuner.trial",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tuner' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
