"""The protocol of claims and leases in plain Python: what the SQL must do, without saying how."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tuner.study.failure import MAX_LOSSES
from tuner.study.trial import AttemptKey

Taken = tuple[int, int, str]  # number, attempt, origin


@dataclass(kw_only=True)
class Lease:
    """Who may write to a trial."""

    state: str = "held"
    attempt: int = 1
    owner: UUID | None
    losses: int = 0
    draw: int | None = None
    checkpoints: list[int] = field(default_factory=list)  # their steps, newest last


@dataclass(kw_only=True)
class Public:
    """A trial as every Optuna client sees it."""

    state: str
    value: float | None = None
    fits: bool = True  # a WAITING one: its params lie in the search space
    reports: dict[int, float] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        return self.state in ("COMPLETE", "PRUNED", "FAIL")


class Model:
    """One study. Its methods do what a call of the store must do, and return what it must say."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.n_claimed = 0
        self.next_draw = 0
        self.desired = "running"
        self.trials: list[Public] = []  # by number
        self.leases: dict[int, Lease] = {}
        self.beats: dict[UUID, int] = {}
        self.claimants: dict[tuple[int, int], UUID] = {}  # attempt -> who was given it

    def holds(self, me: UUID, key: AttemptKey) -> bool:
        """Whether this attempt may write."""
        lease = self.leases.get(key.number)
        return lease is not None and (lease.state, lease.owner, lease.attempt) == (
            "held",
            me,
            key.attempt,
        )

    def claim(
        self,
        me: UUID,
        known: Collection[AttemptKey],
        limit: int,
        silent: Mapping[UUID, int],
    ) -> list[Taken]:
        """Adopted, taken over, released, enqueued, then new ones; lost work before new work."""
        taken = self._adopt(me, known, limit)
        if self.desired == "running":
            taken += self._take_over(me, limit - len(taken), silent)
            taken += self._take_free(me, limit - len(taken))
            taken += self._take_new(me, limit - len(taken))
        if self.desired == "stopping":
            self._close(silent)
        for number, attempt, _ in taken:
            assert self.claimants.setdefault((number, attempt), me) == me, "two claimed it"
        return sorted(taken)

    def _adopt(self, me: UUID, known: Collection[AttemptKey], limit: int) -> list[Taken]:
        mine = [
            (number, lease.attempt, "adopted")
            for number, lease in sorted(self.leases.items())
            if (lease.state, lease.owner) == ("held", me)
            and AttemptKey(number=number, attempt=lease.attempt) not in known
        ]
        return mine[:limit]

    def _silent(self, lease: Lease, silent: Mapping[UUID, int]) -> bool:
        """Held by an agent whose beat is still what was seen."""
        owner = lease.owner
        return (
            lease.state == "held" and owner in silent and silent[owner] == self.beats.get(owner, 0)
        )

    def _take_over(self, me: UUID, room: int, silent: Mapping[UUID, int]) -> list[Taken]:
        lost = [n for n, lease in sorted(self.leases.items()) if self._silent(lease, silent)]
        taken: list[Taken] = []
        for number in lost[: max(0, room)]:
            lease = self.leases[number]
            lease.losses += 1
            if lease.losses >= MAX_LOSSES:
                self._finish(number, "FAIL", None)
                lease.owner = None
                continue
            lease.owner, lease.attempt = me, lease.attempt + 1
            taken.append((number, lease.attempt, "taken_over"))
        return taken

    def _take_free(self, me: UUID, room: int) -> list[Taken]:
        free = [n for n, lease in sorted(self.leases.items()) if lease.state == "free"]
        taken: list[Taken] = []
        for number in free[: max(0, room)]:
            lease = self.leases[number]
            lease.state, lease.owner, lease.attempt = "held", me, lease.attempt + 1
            taken.append((number, lease.attempt, "released"))
        return taken

    def _take_new(self, me: UUID, room: int) -> list[Taken]:
        room = min(room, self.limit - self.n_claimed)
        if room <= 0:
            return []
        taken: list[Taken] = []
        waiting = [n for n, trial in enumerate(self.trials) if trial.state == "WAITING"][:room]
        for number in waiting:
            self.n_claimed += 1
            trial = self.trials[number]
            if trial.fits:
                trial.state = "RUNNING"
                self.leases[number] = Lease(owner=me)
                taken.append((number, 1, "waiting"))
            else:
                trial.state = "FAIL"
                self.leases[number] = Lease(owner=me, state="done")
        for _ in range(room - len(waiting)):
            number = len(self.trials)
            self.trials.append(Public(state="RUNNING"))
            self.leases[number] = Lease(owner=me, draw=self.next_draw)
            self.next_draw += 1
            self.n_claimed += 1
            taken.append((number, 1, "new"))
        return taken

    def _close(self, silent: Mapping[UUID, int]) -> None:
        for number, lease in self.leases.items():
            if lease.state == "free" or self._silent(lease, silent):
                self._prune(number)

    def _prune(self, number: int) -> None:
        """No agent works on it: it ends with its last report."""
        reports = self.trials[number].reports
        self._finish(number, "PRUNED", reports[max(reports)] if reports else None)
        self.leases[number].owner = None

    def stop(self) -> None:
        """Somebody stops the study: what nobody holds ends."""
        self.desired = "stopping"
        for number, lease in self.leases.items():
            if lease.state == "free":
                self._prune(number)

    def report(self, me: UUID, key: AttemptKey, reports: Mapping[int, float]) -> bool:
        """Whether it was taken."""
        if not self.holds(me, key):
            return False
        self.trials[key.number].reports.update(reports)
        return True

    def save(self, me: UUID, key: AttemptKey, step: int, *, is_whole: bool) -> bool:
        """A checkpoint; one that is damaged leaves the one before in its place."""
        if not self.holds(me, key):
            return False
        if is_whole:
            self.leases[key.number].checkpoints.append(step)
        return True

    def finish(
        self,
        me: UUID,
        key: AttemptKey,
        state: str,
        value: float | None,
        reports: Mapping[int, float],
    ) -> bool:
        """Whether it is done, by this attempt."""
        lease = self.leases.get(key.number)
        if lease is None or (lease.owner, lease.attempt) != (me, key.attempt):
            return False
        if lease.state == "held":
            trial = self.trials[key.number]
            trial.reports.update(reports)
            last = max(reports, default=0)
            trial.reports = {s: v for s, v in trial.reports.items() if s <= last}
            self._finish(key.number, state, value)
        return lease.state == "done"

    def _finish(self, number: int, state: str, value: float | None) -> None:
        lease, trial = self.leases[number], self.trials[number]
        lease.state, lease.checkpoints = "done", []
        if trial.state == "RUNNING":  # else somebody ended it with an Optuna client: that stands
            trial.state, trial.value = state, value

    def release(self, me: UUID, key: AttemptKey, reports: Mapping[int, float]) -> bool:
        """Hand it back; false if it was no longer ours."""
        if not self.report(me, key, reports):
            # Who finished it meanwhile, in this very attempt, is told so: nothing was lost.
            lease = self.leases.get(key.number)
            return lease is not None and (lease.state, lease.owner, lease.attempt) == (
                "done",
                me,
                key.attempt,
            )
        lease = self.leases[key.number]
        lease.state, lease.owner = "free", None
        return True

    def numbers(self, states: Sequence[str]) -> list[int]:
        """Trials in one of these states."""
        return [n for n, trial in enumerate(self.trials) if trial.state in states]
