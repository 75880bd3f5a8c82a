"""The model card: whatever a config says, it is text."""

import ast
from dataclasses import replace

import numpy as np
import torch

from tests.unit.export.configs import make_config
from tuner.export.card import render_function_card, render_model_card
from tuner.study_file.data.sources import ColumnType
from tuner.study_file.kinds.function import FunctionObjective
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.numbers import Numbers
from tuner.training.data.one_hot import OneHot, OneHotColumn
from tuner.training.data.preparation import InputColumn, Preparation, Target
from tuner.training.data.scaling import NoScaling
from tuner.training.final.model import FinalModel
from tuner.training.final.model_card import ModelCard

HOSTILE = "<script>alert(1)</script>\x1b[31m|\u202e\n# x"


def _card(**changes):
    fields = {
        "model": "mlp",
        "params": {},
        "seed": 1,
        "task": Task.CLASSIFICATION,
        "n_features": 3,
        "n_outputs": 2,
        "target_mean": 0.0,
        "target_scale": 1.0,
        "classes": ("no", "yes"),
        "features": ("a", "b", "c"),
    }
    return ModelCard(**{**fields, **changes})


def _model(columns=None, **changes):
    """A model of three numbers, or of these columns."""
    kinds = columns or dict.fromkeys("abc", ColumnType.NUMBER)
    categories = [name for name, kind in kinds.items() if kind is ColumnType.CATEGORY]
    n_numbers = len(kinds) - len(categories)
    numbers = Numbers(
        first_days={},
        fill_F=np.zeros(n_numbers),
        has_indicator_F=np.arange(n_numbers) == 1,
        scaling=NoScaling(),
    )
    if columns is None:
        numbers = replace(numbers, has_indicator_F=np.zeros(n_numbers, dtype=bool))
    column = OneHotColumn(kept=(HOSTILE, "```"), has_rare=True, has_missing=False)
    preparation = Preparation(
        columns=tuple(InputColumn(name=name, kind=kind) for name, kind in kinds.items()),
        numbers=numbers,
        one_hot=OneHot(columns=(column,) * len(categories)),
        pixels=None,
        target=Target(task=Task.CLASSIFICATION),
        features=(),
    )
    return FinalModel(card=_card(**changes), module=torch.nn.Identity(), preparation=preparation)


def _baseline(name, log_loss):
    test = {"accuracy": 0.5, "log_loss": log_loss}
    return {"name": name, "n_rows": 10, "validation": {"val_loss": log_loss}, "test": test}


def _metrics(**changes):
    fields = {
        "trial": 4,
        "trained_on": "train",
        "from_weights": False,
        "metric": "val_loss",
        "search_value": 0.25,
        "epochs": 3,
        "epoch": 2,
        "delivered": "this training",
        "compared": {"this training": 0.5},
        "test": {"rows": 7, "accuracy": 0.5, "log_loss": 0.7},
        "validation": {"val_loss": 0.5},
        "baselines": [_baseline("most frequent class", 0.9), _baseline("boosting", 0.6)],
        "confusion": [[1, 2], [0, 4]],
        "data": "digits: 1797 rows",
        "seconds": 1.0,
        "device": "cpu",
        "value": 0.5,
        "last": {"val_loss": 0.5},
        "checkpoint": "model.safetensors",
        "checkpoint_step": 3,
        "checkpoint_report": {"val_loss": 0.5},
        "test_fault": None,
    }
    return {**fields, **changes}


def test_what_a_config_says_is_text():
    provenance = {"trial": HOSTILE, "value": HOSTILE, "trials": {"tried": HOSTILE}, "git": HOSTILE}
    config = make_config(
        provenance={**provenance, "confirmed": {"mean": HOSTILE, "spread": HOSTILE}}
    )
    metrics = _metrics(trial=HOSTILE, search_value=HOSTILE, data=HOSTILE)
    text = render_model_card(config, metrics, _model())
    own = config.model_copy(update={"objective": FunctionObjective(function="t.py:train")})
    for page in (text, render_function_card(own, metrics)):
        assert "<script" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "\n# x" not in page


def test_a_table_is_described_and_its_names_are_text():
    kinds = {"age": ColumnType.NUMBER, "on": ColumnType.BOOLEAN, HOSTILE: ColumnType.CATEGORY}
    page = render_model_card(make_config(), _metrics(), _model(kinds))
    assert "| age | number | an error |" in page
    assert "| on | boolean | allowed |" in page
    assert "category (2 known, others together)" in page
    assert "It contains the names of the categories" in page
    rows = page.split("x = ")[1].split("  # a dict")[0]
    assert list(ast.literal_eval(rows)[0].values()) == [0.0, True, HOSTILE]
    outside = "".join(page.split("```")[::2])
    for bad in ("<script", "\x1b", "\u202e", "\n# x"):
        assert bad not in outside
    assert page.count("```") == 2


def test_luck_is_said_in_plain_words_and_a_confirmation_replaces_it():
    config = make_config()
    assert "the best of 9 tried, so a part of it is luck" in render_model_card(
        config, _metrics(), _model()
    )
    confirmed = {**config.provenance, "confirmed": {"mean": 0.31, "spread": 0.04, "seeds": 5}}
    text = render_model_card(make_config(provenance=confirmed), _metrics(), _model())
    assert "confirmed under 5 fresh seeds: val_loss 0.31 on average, 0.04" in text
    confirmed["confirmed"]["spread"] = 0.0
    text = render_model_card(make_config(provenance=confirmed), _metrics(), _model())
    assert "0.31 on average, the same under every seed, so it shows nothing" in text


def test_the_example_of_an_own_model_imports_its_code_itself():
    text = render_model_card(make_config(), _metrics(), _model(model="nets/cnn.py:build"))
    assert 'sys.path.insert(0, "nets")' in text
    assert "from cnn import build" in text
    assert 'tuner.load_model(".", build=build)' in text
    text = render_model_card(make_config(), _metrics(), _model(model="lab.nets:build"))
    assert "from lab.nets import build" in text


def test_the_card_says_how_to_train_the_same_again():
    def page(**changes):
        return render_model_card(make_config(), _metrics(**changes), _model())

    assert "`tuner train config.yaml -o ANOTHER_FOLDER`" in page()
    both = page(trained_on="train+val", compared=None, validation=None)
    assert "`tuner train config.yaml --on train+val -o ANOTHER_FOLDER`" in both
    on_top = page(from_weights=True)
    assert "It started from the trial's own weights." in on_top
    assert "`tuner train THAT_FILE --from-weights`" in on_top


def test_simple_models_are_next_to_this_one():
    page = render_model_card(make_config(), _metrics(), _model())
    assert "| this model | 0.5 | 0.7 | 0.5 |\n" in page
    assert "| boosting | 0.6 | 0.6 | 0.5 |\n" in page
    assert "**It loses to boosting on the test split** (log_loss 0.7 against 0.6)" in page
    better = _metrics(baselines=[_baseline("boosting", 0.8)])
    page = render_model_card(make_config(), better, _model())
    assert "at least as good as boosting, the best of them (log_loss 0.7 against 0.8)" in page


def test_a_model_of_both_splits_is_compared_on_the_test_split_alone():
    both = {"trained_on": "train+val", "compared": None, "validation": None}
    page = render_model_card(make_config(), _metrics(**both), _model())
    assert "| this model | 0.7 | 0.5 |\n" in page
