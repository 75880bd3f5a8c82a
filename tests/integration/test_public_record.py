"""The public record: what Optuna and its tools make of a study that our store writes."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import optuna
import pytest
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tests.integration.stores import StoredStudy, report
from tuner.results.summary import load_summary, load_whole
from tuner.study.lease import Batch, ClaimedTrial
from tuner.study.report import Report
from tuner.study.trial import TrialState

N_COMPLETE = 8


@pytest.fixture
def studied(new_study: Callable[..., StoredStudy]) -> StoredStudy:
    """Eight COMPLETE trials, two PRUNED, one FAIL, one RUNNING."""
    study = new_study(12)
    agent = study.agent()
    trials = agent.claim(12)
    for trial in trials[:N_COMPLETE]:
        agent.finish(trial, value=_loss(trial, 3), reports=_curve(trial, 3), user_attrs={"best": 3})
    for trial in trials[8:10]:
        agent.finish(
            trial, TrialState.PRUNED, _loss(trial, 1), reason="rung 1", reports=_curve(trial, 1)
        )
    agent.finish(
        trials[10], TrialState.FAIL, reason="ValueError: no", reports=_curve(trials[10], 1)
    )
    agent.store.report(Batch(reports=_curve(trials[11], 2)))
    return study


def _loss(trial: ClaimedTrial, step: int) -> float:
    rate = trial.params["learning_rate"]
    assert isinstance(rate, float)
    return (math.log10(rate) + 2.5) ** 2 + 1.0 / step


def _curve(trial: ClaimedTrial, n_steps: int) -> list[Report]:
    steps = range(1, n_steps + 1)
    return [report(trial, step, _loss(trial, step), accuracy=0.5) for step in steps]


def _trials(study: StoredStudy) -> list[FrozenTrial]:
    return study.optuna().get_trials()


def test_states_values_and_curves_are_as_they_were_reported(studied: StoredStudy) -> None:
    trials = _trials(studied)
    assert [trial.number for trial in trials] == list(range(12))
    expected = ["COMPLETE"] * 8 + ["PRUNED"] * 2 + ["FAIL", "RUNNING"]
    assert [trial.state.name for trial in trials] == expected
    for trial in trials[:8]:
        assert trial.value == trial.intermediate_values[3]
        assert trial.user_attrs == {"best": 3}
    for trial in trials[8:10]:
        assert trial.value == trial.intermediate_values[1]
        assert trial.user_attrs == {"reason": "rung 1"}
    assert trials[10].values is None
    assert trials[10].user_attrs == {"reason": "ValueError: no"}
    assert list(trials[11].intermediate_values) == [1, 2]
    assert all(trial.system_attrs == {} for trial in trials)


def test_params_and_distributions_are_the_spaces_in_its_order(studied: StoredStudy) -> None:
    drawn = studied.suggest(range(12))
    for trial, suggestion in zip(_trials(studied), drawn, strict=True):
        assert trial.params == suggestion.params
        assert list(trial.params) == list(studied.distributions)
        assert trial.distributions == studied.distributions
        types = {name: type(value) for name, value in trial.params.items()}
        assert types == {name: type(value) for name, value in suggestion.params.items()}


def test_times_are_naive_utc(studied: StoredStudy) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    for trial in _trials(studied):
        assert trial.datetime_start is not None
        assert trial.datetime_start.tzinfo is None
        assert now - timedelta(minutes=5) < trial.datetime_start <= now
        if trial.state.is_finished():
            assert trial.datetime_complete is not None
            assert trial.datetime_start <= trial.datetime_complete <= now
        else:
            assert trial.datetime_complete is None


def test_the_best_trial_is_the_same_for_optuna_and_for_us(studied: StoredStudy) -> None:
    best = min(_trials(studied)[:N_COMPLETE], key=lambda t: (t.value, t.number))
    assert studied.optuna().best_trial.number == best.number
    ours = load_summary(studied.database, "searched").best
    assert ours is not None
    assert (ours.number, ours.value, ours.params) == (best.number, best.value, best.params)


def test_the_table_has_every_column(studied: StoredStudy) -> None:
    table = studied.optuna().trials_dataframe()
    assert len(table) == 12
    names = [f"params_{name}" for name in studied.spec.search_space]
    assert set(names) | {"number", "value", "state", "duration", "user_attrs_reason"} <= set(table)
    assert table["value"].notna().sum() == 10
    assert table["duration"].notna().sum() == 11


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    "name",
    [
        "plot_optimization_history",
        "plot_intermediate_values",
        "plot_slice",
        "plot_contour",
        "plot_parallel_coordinate",
        "plot_param_importances",
        "plot_edf",
        "plot_rank",
        "plot_timeline",
    ],
)
def test_every_plot_of_optuna_has_something_to_show(studied: StoredStudy, name: str) -> None:
    options = {"plot_contour": {"params": ["learning_rate", "width"]}}
    options["plot_rank"] = options["plot_contour"]
    plot = getattr(optuna.visualization, name)
    figure = plot(studied.optuna(), **options.get(name, {}))
    assert len(figure.data) > 0
    assert figure.to_json()


def test_deleting_the_study_with_optuna_deletes_everything_of_ours(
    studied: StoredStudy, new_study: Callable[..., StoredStudy]
) -> None:
    other = new_study(1, name="other")
    other.agent().claim_one()
    optuna.delete_study(study_name="searched", storage=studied.optuna()._storage)
    tables = studied.query(
        "select table_schema || '.' || table_name from information_schema.columns"
        " where table_schema = 'tuner' and column_name = 'study_id'"
    )
    assert len(tables) >= 9
    for (table,) in tables:
        left = studied.query(f"select 1 from {table} where study_id = %s", studied.study_id)
        assert left == [], table
    assert other.states() == ["RUNNING"]


def test_a_stock_optimize_beside_our_agent_costs_no_budget(
    new_study: Callable[..., StoredStudy],
) -> None:
    study = new_study(6)
    stock = study.optuna()
    stock.sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=2)
    agent = study.agent()

    def objective(trial: optuna.Trial) -> float:
        held = agent.claim_one()
        agent.finish(held, value=_loss(held, 3), reports=_curve(held, 3))
        return trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)

    stock.optimize(objective, n_trials=6)
    claimed = agent.ask(2)
    assert (list(claimed.trials), claimed.limit_reached, claimed.n_open) == ([], True, 0)
    trials = _trials(study)
    assert [trial.number for trial in trials] == list(range(12))
    assert {trial.state for trial in trials} == {OptunaState.COMPLETE}
    assert sum(len(trial.params) == 6 for trial in trials) == 6


def test_what_other_programs_write_can_be_read_by_us(studied: StoredStudy) -> None:
    stock = studied.optuna()
    trial = stock.ask()
    trial.suggest_float("own", 0, 1)
    for key, value in {
        "nan": math.nan,
        "inf": math.inf,
        "nested": {"a": [1]},
        "nul": "a\0b",
    }.items():
        trial.set_user_attr(key, value)
    stock.tell(trial, math.inf)
    stock.ask()
    _, rows = load_whole(studied.database, "searched")
    foreign = rows[12]
    assert math.isnan(foreign.user_attrs["nan"])
    assert foreign.user_attrs["inf"] == math.inf
    assert (foreign.user_attrs["nested"], foreign.user_attrs["nul"]) == ({"a": [1]}, "a\0b")
    assert (foreign.attempt, list(foreign.params)) == (0, ["own"])
    summary = load_summary(studied.database, "searched")
    assert summary.best is not None
    assert summary.best.number < N_COMPLETE
    assert (summary.n("RUNNING"), summary.n("ELSEWHERE")) == (1, 1)
