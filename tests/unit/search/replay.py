"""The same random trials, judged by a pruner of ours and by Optuna's."""

import random

import optuna

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.protocols import Pruner
from tuner.study.report import RungValue
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict

N_TRIALS = 40
N_STEPS = 12


def replay(
    ours: Pruner, theirs: optuna.pruners.BasePruner, direction: Direction, seed: int
) -> tuple[int, int]:
    """Trials report step by step in random turns; every step is judged by both.

    Fails where they differ, and returns how many trials were judged to their end and how many
    were pruned. Values have many ties.
    """
    rng = random.Random(seed)
    study = optuna.create_study(direction=direction.value)
    curves = Curves()
    waiting = [study.ask() for _ in range(N_TRIALS)]
    running: list[optuna.Trial] = []
    values: dict[int, dict[int, float]] = {trial.number: {} for trial in waiting}
    n_complete = n_pruned = 0
    while waiting or running:
        if waiting and len(running) < 6:
            running.append(waiting.pop(0))
        trial = rng.choice(running)
        history = values[trial.number]
        step = len(history) + 1
        # Trials differ in how good they are, so that some are better all along.
        history[step] = round(trial.number * 7 % 11 + rng.random() * 6) / 4
        trial.report(history[step], step)
        if step == N_STEPS:
            running.remove(trial)
            study.tell(trial, history[step])
            curves.add(_complete(trial.number, history))
            n_complete += 1
            continue
        mine = History(number=trial.number, place=trial.number, values=history, n_steps=N_STEPS)
        for rung in mine.rungs(ours.schedule(mine.place, N_STEPS)):
            value = history[step]
            curves.add([RungValue(step=rung, number=trial.number, value=value, place=trial.number)])
        decision = ours.decide(mine, curves)
        expected = theirs.prune(study, study._storage.get_trial(trial._trial_id))
        assert (decision.action is Verdict.PRUNE) == expected, (decision.reason, history)
        if expected:
            running.remove(trial)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            n_pruned += 1
    return n_complete, n_pruned


def _complete(number: int, history: dict[int, float]) -> list[RungValue]:
    at_end = {**history, 0: history[max(history)]}
    return [
        RungValue(step=step, number=number, value=value, place=number, is_complete=True)
        for step, value in at_end.items()
    ]
