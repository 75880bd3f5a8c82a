"""Verdicts on attempts, and the outcomes of attempts."""

from enum import StrEnum


class Verdict(StrEnum):
    """The order to an attempt: a decision, a command, or a lost lease. The texts are stored."""

    CONTINUE = "go_on"
    RELEASE = "release"  # save a checkpoint, then leave
    PRUNE = "prune"
    DROP = "drop"  # leave at once: the trial has failed, or another agent has it

    @property
    def word(self) -> str:
        """The verdict as people read it."""
        return self.name.lower()

    @property
    def outcome(self) -> "Outcome":
        """Return the outcome of an attempt that obeys; `CONTINUE` has none."""
        return _OUTCOMES[self]

    def overrides(self, other: "Verdict") -> bool:
        """Return whether this verdict replaces an earlier one: the more final one holds."""
        order = list(Verdict)
        return order.index(self) > order.index(other)


class Outcome(StrEnum):
    """The way an attempt left its worker."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    RELEASED = "released"
    DROPPED = "dropped"
    REFUSED = "refused"  # did not fit, or no room: comes back under the same attempt
    NON_FINITE = "non_finite"
    OUT_OF_MEMORY = "out_of_memory"
    EXCEPTION = "exception"
    EXITED = "exited"  # a program ended with an exit code other than 0
    CRASHED = "crashed"  # a program ended by a segmentation fault and its kin
    KILLED = "killed"  # a program ended by a signal from outside
    MISTAKE = "mistake"  # the objective's code breaks a rule: another attempt is of no use


_OUTCOMES = {
    Verdict.RELEASE: Outcome.RELEASED,
    Verdict.PRUNE: Outcome.PRUNED,
    Verdict.DROP: Outcome.DROPPED,
}
