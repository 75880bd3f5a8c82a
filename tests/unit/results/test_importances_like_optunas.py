"""Our PED-ANOVA on columns says what Optuna's says on trials."""

import math
import random
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from tuner.results.importances import find_importances
from tuner.results.trial_table import ParamTable, TrialTable, empty_table
from tuner.study.trial import Direction

SPACE = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "drop": FloatDistribution(0.0, 0.5),
    "stepped": FloatDistribution(0.0, 1.0, step=0.25),
    "layers": IntDistribution(1, 8),
    "width": IntDistribution(8, 1024, log=True),
    "even": IntDistribution(2, 20, step=2),
    "act": CategoricalDistribution(("relu", "tanh", None)),
    "only": CategoricalDistribution((1,)),
}


def _trials(n: int, seed: int, direction: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction=direction, sampler=optuna.samplers.RandomSampler(seed=seed)
    )
    noise = random.Random(seed)

    def objective(trial: optuna.Trial) -> float:
        given = {name: trial._suggest(name, kind) for name, kind in SPACE.items() if name != "drop"}
        loss = abs(math.log10(given["lr"]) + 2) + 0.1 * given["layers"] + noise.random() * 0.2
        if given["act"] == "relu":  # a parameter that only some trials have
            loss += trial._suggest("drop", SPACE["drop"])
        return loss

    study.optimize(objective, n_trials=n)
    return study


def _table(study: optuna.Study) -> TrialTable:
    trials = study.trials
    params = {
        name: ParamTable(
            distribution=distribution_to_json(kind),
            values=np.array(
                [
                    kind.to_internal_repr(t.params[name]) if name in t.params else np.nan
                    for t in trials
                ],
                np.float64,
            ),
        )
        for name, kind in SPACE.items()
    }
    n = len(trials)
    zeros = np.zeros(n, np.int64)
    return TrialTable(
        **{
            **vars(empty_table()),
            "numbers": np.arange(n),
            "states": zeros,
            "values": np.array([t.value for t in trials]),
            "params": params,
        }
    )


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("n", [12, 60, 300])
def test_the_shares_are_optunas(direction, n):
    study = _trials(n, seed=n, direction=direction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    ours = find_importances(_table(study), Direction(direction))
    assert ours is not None
    found = {param.name: param.share for param in ours.params}
    assert found == pytest.approx(theirs, abs=1e-9)


def test_few_trials_and_equal_values_say_nothing():
    study = _trials(9, seed=1, direction="minimize")
    assert find_importances(_table(study), Direction.MINIMIZE) is None
    table = _table(_trials(20, seed=1, direction="minimize"))
    equal = TrialTable(**{**vars(table), "values": np.ones(20)})
    assert find_importances(equal, Direction.MINIMIZE) is None
