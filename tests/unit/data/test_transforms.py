"""The fitted transforms equal those of scikit-learn, and are stored and read back unchanged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import (
    OneHotEncoder,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from tests.unit.data.tables import load_table, rows_of_churn, write_csv
from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.sources import ColumnType
from tuner.training.data.numbers import Numbers
from tuner.training.data.one_hot import OneHot
from tuner.training.data.preparation import Preparation, load_preparation
from tuner.training.data.scaling import Quantile, Robust, Standard
from tuner.training.data.table import Column

rng = np.random.default_rng(3)
X = np.column_stack(
    [
        rng.normal(5, 3, 2500),
        np.exp(rng.normal(0, 2, 2500)),
        rng.integers(0, 4, 2500).astype(float),
        np.full(2500, 7.0),
        np.repeat([0.0, 1.0], 1250),
    ]
)
NEW = np.vstack([X[:50] * 1.5 - 1, X.min(0) - 10, X.max(0) + 10])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: Standard.fit(X).apply(NEW), StandardScaler()),
        (lambda: Robust.fit(X).unclipped(NEW), RobustScaler()),
        (
            lambda: Quantile.fit(X).apply(NEW),
            QuantileTransformer(output_distribution="normal", subsample=None),
        ),
        (
            lambda: Quantile.fit(X[::5]).apply(NEW),
            QuantileTransformer(n_quantiles=500, output_distribution="normal", subsample=None),
        ),
    ],
    ids=["standard", "robust", "quantile", "quantile of few rows"],
)
def test_scaling_is_that_of_scikit_learn(ours: Any, theirs: Any) -> None:
    fitted = theirs.fit(X[::5] if getattr(theirs, "n_quantiles", 0) == 500 else X)
    assert np.abs(ours() - fitted.transform(NEW)).max() < 1e-12


def test_robust_values_are_clipped_smoothly_to_three() -> None:
    scaled, clipped = Robust.fit(X).unclipped(NEW), Robust.fit(X).apply(NEW)
    assert np.allclose(clipped, scaled / np.sqrt(1 + (scaled / 3) ** 2))
    assert np.abs(clipped).max() < 3


@pytest.mark.parametrize("how", ["median", "mean", "most_frequent", {"constant": -2.0}])
def test_missing_numbers_are_filled_as_scikit_learn_fills_them(how: Any) -> None:
    gaps = X.copy()
    gaps[rng.random(X.shape) < 0.2] = np.nan
    gaps[:, 0] = X[:, 0]
    columns = _numbers(gaps)
    fitted = Numbers.fit(columns, PrepareRule(missing=how, numbers="standard"))
    out = np.zeros((len(X), fitted.n_features))
    fitted.apply(columns, out)
    constant = {"strategy": "constant", "fill_value": -2.0}
    imputer = SimpleImputer(**({"strategy": how} if isinstance(how, str) else constant))
    filled = imputer.fit_transform(gaps)
    expected = np.hstack(
        [StandardScaler().fit_transform(filled), MissingIndicator().fit_transform(gaps)]
    )
    assert np.abs(out - expected).max() < 1e-12
    assert fitted.names(columns)[-1] == "c4 is missing"


def _numbers(x: Any) -> list[Column]:
    return [
        Column(name=f"c{n}", kind=ColumnType.NUMBER, values_N=values)
        for n, values in enumerate(x.T)
    ]


@pytest.mark.parametrize("bound", [3, 5, 100])
def test_categories_are_encoded_as_scikit_learn_encodes_them(bound: int) -> None:
    texts = rng.choice(list("abcdefgh"), 500, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02])
    seen = [*texts[:400], *"ddee"]  # ties
    encoder = OneHotEncoder(
        max_categories=bound, handle_unknown="infrequent_if_exist", sparse_output=False
    ).fit(np.array(seen)[:, None])
    fitted = OneHot.fit([_category(seen)], bound)
    new = [*texts[400:], "unknown"]
    out = np.zeros((len(new), fitted.n_features))
    fitted.apply([_category(new)], out)
    assert np.array_equal(out, encoder.transform(np.array(new)[:, None]))


def _category(texts: Any) -> Column:
    categories, numbers = np.unique(texts, return_inverse=True)
    return Column(
        name="k",
        kind=ColumnType.CATEGORY,
        values_N=numbers.astype(np.int32),
        categories=tuple(map(str, categories)),
    )


def test_a_date_is_year_month_weekday_and_days_since_the_first(tmp_path: Path) -> None:
    dates = ["2024-02-29", "1969-12-31", "2025-11-30 18:00:00", ""]
    write_csv(
        tmp_path / "d.csv", [[d, n % 2, n] for n, d in enumerate(dates * 10)], ("d", "y", "n")
    )
    (column, _) = load_table(tmp_path, {"csv": "d.csv", "target": "y"}).columns
    assert column.kind is ColumnType.DATE
    fitted = Numbers.fit([column], PrepareRule(numbers="none", missing="most_frequent"))
    out = np.zeros((40, fitted.n_features))
    fitted.apply([column], out)
    assert out[:3, :3].tolist() == [[2024, 2, 3], [1969, 12, 2], [2025, 11, 6]]
    assert out[:3, 3].tolist() == [19783, 0, 20423 + 0.75]
    assert out[3].tolist() == [1969, 2, 2, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("numbers", ["standard", "robust", "quantile", "none"])
def test_a_preparation_is_read_back_unchanged(numbers: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "churn.csv", rows_of_churn())
    table = load_table(tmp_path, {"csv": "churn.csv", "target": "churned", "drop": ["id"]})
    rule = PrepareRule(numbers=numbers, categories={"one_hot": 2})
    fitted = Preparation.fit(table, np.arange(40), rule)
    (tmp_path / "stored").mkdir()
    fitted.save(tmp_path / "stored")
    again = load_preparation(tmp_path / "stored")
    assert again.text() == fitted.text()
    assert np.array_equal(again.inputs(table.columns), fitted.inputs(table.columns))
    assert again.n_features == len(again.features) == again.inputs(table.columns).shape[1]


def test_statistics_are_those_of_the_training_rows_alone(tmp_path: Path) -> None:
    rows = rows_of_churn()
    write_csv(tmp_path / "a.csv", rows)
    changed = [[*row[:1], 1000, "ultra", "2099-01-01", row[4]] for row in rows[40:]]
    write_csv(tmp_path / "b.csv", [*rows[:40], *changed])
    fitted = [
        Preparation.fit(
            load_table(tmp_path, {"csv": name, "target": "churned", "drop": ["id"]}),
            np.arange(40),
            PrepareRule(),
        )
        for name in ("a.csv", "b.csv")
    ]
    assert fitted[0].text() == fitted[1].text()
    for name, array in fitted[0].arrays().items():
        assert np.array_equal(array, fitted[1].arrays()[name])
