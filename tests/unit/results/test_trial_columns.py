"""Columns: selected as rows are, merged bit by bit, thinned and scaled for a screen."""

import random

import numpy as np
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from tests.trial_tables import filter_numbers, filter_rows
from tests.unit.cli.builders import trial
from tuner.errors import UsageError
from tuner.results.conditions import parse_condition
from tuner.results.device_timeline import find_runs
from tuner.results.figures.curves import band
from tuner.results.figures.figure import Figure, escape_label
from tuner.results.figures.scale import find_scale
from tuner.results.figures.thinning import thin
from tuner.results.filters import Filter
from tuner.results.trial_table import TrialTable, empty_table, merge
from tuner.storage.reading.columns import (
    STATES,
    Curve,
    ParamColumn,
    TrialColumns,
)
from tuner.study.trial import TrialState

KINDS = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "n": IntDistribution(1, 8),
    "act": CategoricalDistribution(("relu", "tanh", True, None, 3)),
}


def _columns(numbers: list[int], chance: random.Random) -> TrialColumns:
    n = len(numbers)

    def floats() -> np.ndarray:
        return np.array([chance.choice([np.nan, chance.random()]) for _ in range(n)])

    def ints(high: int) -> np.ndarray:
        return np.array([chance.randrange(high) for _ in range(n)], np.int64)

    states = ints(6)
    return TrialColumns(
        numbers=np.array(numbers, np.int64),
        states=states,
        values=floats(),
        n_steps=ints(9),
        began=floats(),
        started=floats(),
        ended=floats(),
        seconds=floats(),
        agents=ints(3),
        devices=[chance.choice(["", "gpu:0", "gpu:1"]) for _ in range(n)],
        attempts=ints(3),
        failures={
            number: ("exception", f"ValueError: {number}")
            for number, state in zip(numbers, states.tolist(), strict=True)
            if STATES[state] is TrialState.FAIL
        },
        given={},
    )


def _params(numbers: list[int], chance: random.Random) -> list[ParamColumn]:
    found = []
    for name, kind in KINDS.items():
        mine = [number for number in numbers if name != "n" or chance.random() < 0.7]
        values = [
            chance.randrange(len(kind.choices))
            if isinstance(kind, CategoricalDistribution)
            else chance.randint(1, 8)
            if name == "n"
            else 10 ** chance.uniform(-4, -1)
            for _ in mine
        ]
        found.append(
            ParamColumn(
                name=name,
                distribution=distribution_to_json(kind),
                numbers=np.array(mine, np.int64),
                values=np.array(values, np.float64),
            )
        )
    return found


@pytest.fixture
def table() -> TrialTable:
    chance = random.Random(1)
    numbers = list(range(80))
    return merge(empty_table(), _columns(numbers, chance), _params(numbers, chance))


CONDITIONS = ("lr<0.01", "lr>=0.01", "n=3", "n!=3", "n<=4", "act=relu", "act!=relu", "act=true",
              "act=3", "act>2", "value<0.5", "value>=0.5", "steps>4", "number<40", "state=complete",
              "state!=complete", "attempt=1", "params.n>6", "act=null", "n=true", "lr=x",
              "lr!=x")  # fmt: skip


@pytest.mark.parametrize("text", CONDITIONS)
@pytest.mark.parametrize("sort", ["number", "value", "lr", "n", "act", "steps", "state"])
def test_a_filter_over_columns_equals_one_row_by_row(table, text, sort):
    rows = [
        trial(
            number,
            state=STATES[table.states[number]],
            value=None if np.isnan(value) else float(value),
            params=table.params_of(number),
            n_steps=int(table.n_steps[number]),
            attempt=int(table.attempts[number]),
            user_attrs={},
        )
        for number, value in enumerate(table.values)
    ]
    for descending in (False, True):
        wanted = Filter(conditions=[parse_condition(text)], sort=sort, descending=descending)
        assert filter_numbers(table, wanted) == filter_rows(rows, wanted, {})


def test_states_and_reasons_choose_too(table):
    failed = filter_numbers(table, Filter(states=(TrialState.FAIL,), reason="ValueError: 7"))
    assert len(failed) == (table.states == STATES.index(TrialState.FAIL)).sum() > 0
    assert len(filter_numbers(table, Filter(reason="KeyError: 7"))) == 0


def test_a_field_that_there_is_not_is_a_sentence(table):
    with pytest.raises(UsageError, match="did you mean lr"):
        filter_numbers(table, Filter(conditions=[parse_condition("lrr<1")]))
    with pytest.raises(UsageError, match="no field"):
        filter_numbers(table, Filter(sort="<script>"))


@pytest.mark.parametrize("seed", range(20))
def test_merging_bit_by_bit_ends_where_one_merge_does(seed):
    chance = random.Random(seed)
    numbers = list(range(50))
    last, params = _columns(numbers, chance), _params(numbers, chance)
    table = empty_table()
    for _ in range(6):
        some = sorted(chance.sample(numbers, chance.randint(1, 50)))
        table = merge(table, _columns(some, chance), _params(some, chance))
        assert table.numbers.tolist() == sorted(table.numbers.tolist())
    table = merge(table, last, params)
    whole = merge(empty_table(), last, params)
    for name in ("numbers", "states", "values", "n_steps", "began", "ended", "agents"):
        assert np.array_equal(getattr(table, name), getattr(whole, name), equal_nan=True)
    assert [table.device_names[d] for d in table.devices] == last.devices
    assert table.open_numbers == whole.open_numbers


def test_thinning_keeps_few_that_cover_the_same_ground():
    chance = np.random.default_rng(1)
    x, y = chance.random(50_000), chance.random(50_000)
    kept = thin(x, y, 1500)
    assert 500 < len(kept) <= 1500
    assert x[kept].min() < 0.05
    assert y[kept].max() > 0.95
    assert np.array_equal(thin(x[:100], y[:100]), np.arange(100))
    assert len(thin(np.zeros(9000), np.zeros(9000), 10)) == 1


def test_an_outlier_does_not_squash_the_others():
    values = np.append(np.linspace(0.1, 0.2, 99), 1e6)
    scale = find_scale(values, minimize=True)
    assert scale.low == pytest.approx(0.1)
    assert scale.high < 0.5
    mirrored = find_scale(-values, minimize=False)
    assert (mirrored.low, mirrored.high) == (-scale.high, -scale.low)


def test_values_over_decades_get_a_logarithmic_axis():
    values = np.geomspace(1e-6, 1.0, 100)
    assert find_scale(values, minimize=True).is_log
    assert not find_scale(values - 0.5, minimize=True).is_log
    axis = find_scale(values, minimize=True).axis("loss")
    assert axis["type"] == "log"
    assert axis["range"][0] < -6


@pytest.mark.parametrize("values", [[], [np.nan], [1.0], [0.0, 0.0], [np.inf, 1.0], [-5.0]])
def test_odd_values_have_an_axis_too(values):
    scale = find_scale(np.array(values, np.float64), minimize=True)
    assert scale.low < scale.high


def test_runs_are_the_union_of_spans():
    began, ended = np.array([0.0, 1, 5, 5.5, 9]), np.array([2.0, 4, 6, 5.8, 10])
    assert find_runs(began, ended) == [(0, 4), (5, 6), (9, 10)]
    assert find_runs(began, ended, gap_seconds=1.0) == [(0, 6), (9, 10)]
    assert find_runs(np.empty(0), np.empty(0)) == []


def test_the_band_is_of_those_that_came_so_far():
    curves = [
        Curve(steps=np.arange(1, 4), values=np.array([v, v / 2, v / 4])) for v in range(1, 12)
    ]
    short = [Curve(steps=np.array([1]), values=np.array([100.0]))] * 3
    steps, low, middle, high = band([*curves, *short])
    assert steps.tolist() == [1, 2, 3]
    assert (low[1], middle[1], high[1]) == (1.0, 3.0, 5.0)
    assert high[0] == 100.0


def test_labels_are_escaped_and_figures_are_plain_json():
    assert escape_label("<b>&\x00") == "&lt;b&gt;&amp;\ufffd"
    figure = Figure(
        name="f", title="F", traces=[{"y": np.array([1.0, np.nan, np.inf]), "x": np.arange(3)}]
    )
    assert figure.as_json()["data"] == [{"y": [1.0, None, None], "x": [0, 1, 2]}]


def test_a_condition_on_columns_means_the_longest_name() -> None:
    chance = random.Random(3)
    numbers = list(range(20))
    columns = [
        ParamColumn(
            name=name,
            distribution=distribution_to_json(FloatDistribution(0, 100)),
            numbers=np.array(numbers, np.int64),
            values=np.array(numbers, np.float64) * factor,
        )
        for name, factor in (("model.lr", 1), ("lr", 2), ("params.lr", 3), ("attrs.lr", 4))
    ]
    table = merge(empty_table(), _columns(numbers, chance), columns)
    for condition, n_found in (
        ("model.lr<5", 5),
        ("params.model.lr<5", 5),
        ("lr<6", 3),
        ("params.lr<6", 2),
        ("params.params.lr<6", 2),
        ("attrs.lr<8", 2),
    ):
        wanted = Filter(conditions=[parse_condition(condition)], sort="params.lr")
        assert len(filter_numbers(table, wanted)) == n_found, condition
