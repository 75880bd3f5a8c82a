"""A machine in memory, and the events of its life."""

from typing import Any

from tuner.agent import events
from tuner.agent.acts import Act, AskEnd
from tuner.agent.judge import due_acts, judge
from tuner.agent.machine import Machine, Rulebook
from tuner.agent.state import FleetState, Standing, WorkerState
from tuner.messages import Left, Ready, Reported
from tuner.search.protocols import Pruner
from tuner.search.pruners.asha import AshaPruner
from tuner.study.agents import Desired, Pulse
from tuner.study.checkpoint import Checkpoint
from tuner.study.feed import Changes, Seen
from tuner.study.goal import Goal
from tuner.study.lease import Claimed, ClaimedTrial, End, Origin
from tuner.study.report import RungValue
from tuner.study.trial import AttemptKey, Direction, TrialRecord
from tuner.study.verdict import Outcome

WORKER = 101


class Bench:
    """One machine with one worker, driven event by event; time stands still unless told."""

    def __init__(
        self, *, retries: int = 2, n_workers: int = 1, pruner: Pruner | None = None, **rules: Any
    ) -> None:
        book = Rulebook(
            pruner=pruner
            or AshaPruner(direction=Direction.MINIMIZE, min_resource=1, reduction_factor=3),
            n_steps=rules.pop("n_steps", 27),
            goal=Goal(metric="val_loss", direction=Direction.MINIMIZE),
            retries=retries,
            grace_seconds=25.0,
            **rules,
        )
        standing = Standing(goal=Goal(metric="val_loss", direction=Direction.MINIMIZE))
        self.machine = Machine(book=book, standing=standing, fleet=FleetState(has_pulse=True))
        self.now = 100.0
        for index in range(n_workers):
            self.machine.workers[WORKER + index] = WorkerState(name=f"cpu:{index}")

    def do(self, event: events.Event) -> list[Act]:
        """What the agent does about it."""
        return judge(self.machine, event, self.now) + due_acts(self.machine, self.now)

    def tick(self, seconds: float) -> list[Act]:
        """Let time pass."""
        self.now += seconds
        return self.do(events.Tick())

    def ready(self, worker: int = WORKER) -> list[Act]:
        n_taken = self.machine.workers[worker].n_started
        return self.say(Ready(n_free=1, n_taken=n_taken), worker=worker)

    def say(self, message: Any, *, worker: int = WORKER, tail: str = "") -> list[Act]:
        """A worker speaks."""
        return self.do(
            events.WorkerSaid(worker=worker, message=message, tail=tail, n_bytes=len(tail))
        )

    def claimed(self, *trials: ClaimedTrial, n_open: int = 1, limit: bool = False) -> list[Act]:
        """The store answers a claim."""
        answer = Claimed(trials=trials, n_open=n_open, limit_reached=limit)
        acts = self.do(events.ClaimAnswered(claimed=answer))
        for pid, worker in self.machine.workers.items():
            if worker.n_taken < worker.n_started:
                self.say(Ready(n_free=0, n_taken=worker.n_started), worker=pid)
        return acts

    def training(self, number: int = 0, **about: Any) -> ClaimedTrial:
        """A trial under training on the worker."""
        self.ready()
        trial = claimed_trial(number, **about)
        self.claimed(trial)
        return trial

    def report(self, trial: ClaimedTrial, step: int, value: float) -> list[Act]:
        """The worker reports a step."""
        key = trial.key
        values = {"val_loss": value, "train_loss": value}
        return self.say(Reported(number=key.number, attempt=key.attempt, step=step, values=values))

    def leave(self, trial: ClaimedTrial, how: Outcome, **about: Any) -> list[Act]:
        """The lane leaves the worker."""
        key = trial.key
        return self.say(Left(number=key.number, attempt=key.attempt, how=how, **about))

    def pulse(self, desired: Desired = Desired.RUNNING, **about: Any) -> list[Act]:
        """A beat is answered."""
        silent, unavailable = about.pop("silent", ()), about.pop("unavailable", {})
        pulse = Pulse(others=(), desired=desired, **about)
        return self.do(events.PulseHeard(silent=silent, pulse=pulse, unavailable=unavailable))

    def printed(self, tail: str, n_bytes: int | None = None) -> list[Act]:
        """The worker's log has grown to this."""
        size = len(tail) if n_bytes is None else n_bytes
        return self.do(events.WorkerPrinted(worker=WORKER, tail=tail, n_bytes=size))

    def gone(self, exit_code: int = 0, *, worker: int = WORKER, tail: str = "") -> list[Act]:
        """A worker process ends."""
        return self.do(
            events.WorkerGone(worker=worker, exit_code=exit_code, tail=tail, n_bytes=len(tail))
        )

    def ends(self, result: list[Act]) -> tuple[End, ...]:
        """The ends that are on their way, now or a little later."""
        asked = of_type(result, AskEnd) or of_type(self.tick(0.01), AskEnd)
        return asked[0].ends if asked else ()

    def stored(self, *ends: End, lost: frozenset[AttemptKey] = frozenset()) -> list[Act]:
        """The store has written ends."""
        return self.do(events.EndsWritten(ends=ends, lost=lost))

    def feed(self, *rungs: RungValue, trials: tuple[TrialRecord, ...] = ()) -> list[Act]:
        """News from the other machines."""
        seen = Seen(highest=0, open_numbers=frozenset(), snapshot="7:9:8")
        return self.do(events.Changed(changes=Changes(trials=trials, rung_values=rungs, seen=seen)))


def claimed_trial(number: int = 0, **about: Any) -> ClaimedTrial:
    """A new trial, unless told otherwise."""
    attempt = about.pop("attempt", 1)
    known: dict[str, Any] = {
        "origin": Origin.NEW,
        "draw": number,
        "params": {"learning_rate": 0.1},
        "seed": 7,
        "failures": 0,
        "losses": 0,
        "checkpoint": None,
        "history": {},
    }
    return ClaimedTrial(key=AttemptKey(number=number, attempt=attempt), **{**known, **about})


def rung_value(step: int, number: int, value: float) -> RungValue:
    return RungValue(step=step, number=number, value=value, place=number)


def a_checkpoint(step: int) -> Checkpoint:
    return Checkpoint(checkpoint_id=1, step=step, sha256="0" * 64, n_bytes=3)


def of_type(acts: list[Act], kind: type[Any]) -> list[Any]:
    """The acts of one type."""
    return [act for act in acts if isinstance(act, kind)]
