"""Study files that mean the same data, however they are written."""

from pathlib import Path

import pytest

from tuner.study_file.identity import compare_specs, dump_spec, parse_spec
from tuner.study_file.load import load_spec

STUDY = """name: a
objective:
  data: {data}
  model: {model}
{rules}
minimize: val_loss
params: {params}
search_space: {{learning_rate: {{float: [1e-4, 1e-1]}}}}
budget: {{trials: 3}}
"""
CSV = "{csv: a.csv, target: y, drop: [p, q]}"


def _spec(folder: Path, data: str = CSV, model: str = "mlp", rules: str = "", params: str = "{}"):
    path = folder / "study.yaml"
    path.write_text(STUDY.format(data=data, model=model, rules=rules, params=params))
    return load_spec(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"data": "{csv: elsewhere/b.csv, target: y, drop: [q, p], encoding: UTF-8}"}),
        ({}, {"rules": "  prepare: {categories: {one_hot: 100}, numbers: standard}"}),
        ({}, {"rules": "  split: {validation: 0.15, test: 0.15, by: stratify, seed: 0}"}),
        ({}, {"rules": "  task: classification"}),
        (
            {"data": "{images: a}", "model": "cnn"},
            {
                "data": "{images: b, size: 32, colour: rgb}",
                "model": "cnn",
                "params": "{channels: 16}",
            },
        ),
        (
            {"data": "{images: a}", "rules": "  augment: [flip, crop]"},
            {"data": "{images: a}", "rules": "  augment: [crop, flip]"},
        ),
        (
            {"rules": "  split: {test: {csv: t.csv}}"},
            {"rules": "  split: {test: {csv: more/t.csv}}"},
        ),
    ],
)
def test_the_same_study_in_other_words(one, other, tmp_path):
    stored = parse_spec(dump_spec(_spec(tmp_path, **one)))
    assert compare_specs(stored, _spec(tmp_path, **other)).identity == ()


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ("  prepare: {categories: {one_hot: 30}}", "objective.prepare.categories.one_hot"),
        ("  split: {seed: 1}", "objective.split.seed"),
        ("  split: {by: {group: g}}", "objective.split.by"),
    ],
)
def test_another_recipe_is_another_study(rules, path, tmp_path):
    (difference, *_) = compare_specs(_spec(tmp_path), _spec(tmp_path, rules=rules)).identity
    assert difference.path.startswith(path)
