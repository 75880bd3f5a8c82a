"""How a trial leaves the user's code before its end."""

from collections.abc import Mapping

from tuner.training.lane import Verdict


class TrialEnd(BaseException):
    """The trial ends here. A `BaseException`: `except Exception` must not swallow it."""


class TrialPruned(TrialEnd):
    """The pruner stops this trial, or the study ends."""


class TrialReleased(TrialEnd):
    """The trial is handed back: it goes on later, from its last checkpoint."""


class TrialDropped(TrialEnd):
    """The trial is not this process's any more: nothing that it does counts."""


class Mistake(Exception):
    """The objective's code does not keep to the rules; the message says which and what to do."""


ENDS: Mapping[Verdict, type[TrialEnd]] = {
    Verdict.PRUNE: TrialPruned,
    Verdict.RELEASE: TrialReleased,
    Verdict.DROP: TrialDropped,
}

# What the log and the record say of code that goes on after `TrialEnd`.
IGNORED = "the objective went on although `should_prune` had returned True"
SWALLOWED = "the objective swallowed the exception that ends it (an `except:` without a class?)"
