"""The ways a trial leaves the user's code before its end."""

from collections.abc import Mapping
from typing import ClassVar

from tuner.study.verdict import Verdict


class TrialEnd(BaseException):
    """The trial ends here. A `BaseException`: `except Exception` must not swallow it."""

    verdict: ClassVar[Verdict] = Verdict.PRUNE  # a subclass of the user's own is a pruned trial


class TrialPruned(TrialEnd):
    """The pruner stops this trial, or the study ends."""


class TrialReleased(TrialEnd):
    """The trial is released: it continues later, from its last checkpoint."""

    verdict = Verdict.RELEASE


class TrialDropped(TrialEnd):
    """The trial no longer belongs to this process: its results do not count."""

    verdict = Verdict.DROP


class Mistake(Exception):
    """The objective's code breaks a rule; the message names the rule and the fix."""


ENDS: Mapping[Verdict, type[TrialEnd]] = {
    end.verdict: end for end in (TrialPruned, TrialReleased, TrialDropped)
}

# Message in the log and the record for code that continues after `TrialEnd`.
IGNORED = "the objective continued although `should_prune` had returned True"
SWALLOWED = "the objective swallowed the exception that ends it (an `except:` without a class?)"
