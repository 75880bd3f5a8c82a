"""A grid of short trials whose every value is known, and the exact end that a study of them has."""

import itertools
import statistics
from pathlib import Path

from agents import Fleet

TRAIN = '''\
import os
import time

SECONDS = {seconds}


def mix(x, y, step, before):
    """Depends on all steps before: a trial that goes on wrongly ends with another value."""
    return before * 0.75 + ((x * 31 + y * 17 + step * 7) % 101) / 101


def train(trial):
    x, y = trial.params["x"], trial.params["y"]
    state = trial.checkpoint.load() or {{"step": 0, "value": 0.0}}
    value = state["value"]
    for step in range(state["step"] + 1, trial.params["epochs"] + 1):
        time.sleep(SECONDS)
        value = mix(x, y, step, value)
        trial.report(step=step, val_loss=value)
        with open(os.path.join(os.path.dirname(__file__), "steps.txt"), "a") as file:
            file.write(f"{{trial.number}} {{os.getpid()}} {{step}} {{time.monotonic()}}\\n")
        trial.checkpoint.save({{"step": step, "value": value}})
'''

STUDY = """\
name: cells
objective: train.py:train
minimize: val_loss
params: {{epochs: {epochs}}}
search_space:
  x: {{int: [1, {n_x}]}}
  y: {{int: [1, {n_y}]}}
sampler: {sampler}
pruner: none
{budget}checkpoints: {{every: {every}}}
failures: {{lease: {lease}, grace: {grace}}}
"""

KINDS = {
    "claimed",
    "taken_over",
    "released",
    "complete",
    "pruned",
    "fail",
    "quarantined",
    "ended_elsewhere",
    "limit_reached",
}


class Cells:
    """The study and what must be in the database when it has ended."""

    def __init__(
        self,
        folder: Path,
        *,
        n_x: int = 4,
        n_y: int = 3,
        epochs: int = 8,
        seconds: float = 0.4,
        every: str = "0.3s",
        lease: str = "3s",
        grace: str = "8s",
        sampler: str = "grid",
        trials: int | None = None,
    ) -> None:
        self.epochs = epochs
        self.cells = sorted(itertools.product(range(1, n_x + 1), range(1, n_y + 1)))
        self.n_trials = trials or len(self.cells)
        self._is_grid = sampler == "grid" and trials is None
        self._steps = folder / "steps.txt"
        (folder / "train.py").write_text(TRAIN.format(seconds=seconds))
        self.path = folder / "cells.yaml"
        budget = "" if trials is None else f"budget: {{trials: {trials}}}\n"
        self.path.write_text(
            STUDY.format(
                epochs=epochs,
                n_x=n_x,
                n_y=n_y,
                every=every,
                lease=lease,
                grace=grace,
                sampler=sampler,
                budget=budget,
            )
        )

    def curve(self, x: int, y: int) -> list[float]:
        """What an undisturbed trial reports."""
        values, value = [], 0.0
        for step in range(1, self.epochs + 1):
            value = value * 0.75 + ((x * 31 + y * 17 + step * 7) % 101) / 101
            values.append(value)
        return values

    def check(self, fleet: Fleet) -> None:
        """Exactly N trials, each cell once, nothing missing, nothing twice, the right best."""
        assert fleet.states() == {"COMPLETE": self.n_trials}
        rows = fleet.query(
            "select number, value,"
            " (select array_agg(param_value::int order by param_name) from trial_params p"
            "  where p.trial_id = t.trial_id),"
            " (select array_agg(intermediate_value order by step) from trial_intermediate_values i"
            "  where i.trial_id = t.trial_id),"
            " (select array_agg(step order by step) from trial_intermediate_values i"
            "  where i.trial_id = t.trial_id)"
            " from trials t left join trial_values v using (trial_id) order by number"
        )
        assert [number for number, *_ in rows] == list(range(self.n_trials))
        steps = list(range(1, self.epochs + 1))
        for number, value, (x, y), curve, reported in rows:
            assert reported == steps, f"trial {number}"
            assert curve == self.curve(x, y), f"trial {number}"
            assert value == curve[-1], f"trial {number}"
        if self._is_grid:
            assert sorted((x, y) for _, _, (x, y), *_ in rows) == self.cells
            best = min(self.curve(x, y)[-1] for x, y in self.cells)
            assert min(value for _, value, *_ in rows) == best
        self._check_leases(fleet)

    def _check_leases(self, fleet: Fleet) -> None:
        leases = fleet.query("select state, draw, checkpoint_id from tuner.lease order by draw")
        assert leases == [("done", draw, None) for draw in range(self.n_trials)]
        assert fleet.query("select 1 from tuner.checkpoint") == []
        events = fleet.query("select kind, number from tuner.event")
        assert {kind for kind, _ in events} <= KINDS
        completed = sorted(number for kind, number in events if kind == "complete")
        assert completed == list(range(self.n_trials))
        given = fleet.query(
            "select number, attempt from tuner.event where kind = 'claimed'"
            " group by 1, 2 having count(distinct agent_id) > 1"
        )
        assert given == [], "an attempt was given to two agents"

    def steps_trained(self) -> list[tuple[int, int, int, float]]:
        """What workers did, in their own words: number, process, step, their clock."""
        lines = self._steps.read_text().splitlines() if self._steps.exists() else []
        words = [line.split() for line in lines]
        return [(int(n), int(pid), int(step), float(at)) for n, pid, step, at in words]

    def repeated(self) -> float:
        """The share of epochs that were trained more than once."""
        trained = self.steps_trained()
        return 1 - len({(number, step) for number, _, step, _ in trained}) / max(1, len(trained))

    def longest_pause(self) -> float:
        """Between two epochs of one process, beyond the usual."""
        last: dict[int, float] = {}
        pauses = []
        for _, pid, _, at in self.steps_trained():
            pauses.append(at - last.get(pid, at))
            last[pid] = at
        return max(pauses) - statistics.median(pause for pause in pauses if pause)
