"""The model's file: what comes out of a lane, goes to disk and predicts in the data's own units."""

import stat

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.unit.training.recorder import RecorderLane, classification, regression, run
from tuner.errors import RunFailed, UsageError
from tuner.export.files import write_whole
from tuner.study_file.data.sources import ColumnType
from tuner.study_file.params.trainer_params import Task, resolve
from tuner.training.data.dataset import with_validation
from tuner.training.data.numbers import Numbers
from tuner.training.data.one_hot import OneHot
from tuner.training.data.preparation import InputColumn, Preparation, Target
from tuner.training.data.scaling import Standard
from tuner.training.final.evaluation import evaluate, validate
from tuner.training.final.model import (
    MODEL_FILE,
    build_final_model,
    card_of,
    encode_model,
    load_model,
    natural_weights,
)
from tuner.training.losses.built_in import loss_of
from tuner.training.losses.metrics import Metrics

pytestmark = pytest.mark.usefixtures("one_thread")


def _preparation(data, classes=("a", "b", "c")):
    n = data.n_features
    scaling = Standard(
        mean_F=torch.linspace(-2, 5, n, dtype=torch.float64).numpy(),
        scale_F=torch.linspace(0.5, 3, n, dtype=torch.float64).numpy(),
    )
    target = Target(
        task=data.task,
        mean=150.0,
        scale=data.target_scale,
        classes=classes if data.task is Task.CLASSIFICATION else (),
    )
    names = tuple(f"f{i}" for i in range(n))
    return Preparation(
        columns=tuple(InputColumn(name=name, kind=ColumnType.NUMBER) for name in names),
        numbers=Numbers(
            first_days={},
            fill_F=np.zeros(n),
            has_indicator_F=np.zeros(n, dtype=bool),
            scaling=scaling,
        ),
        one_hot=OneHot(columns=()),
        pixels=None,
        target=target,
        features=names,
    )


def _trained(data, **params):
    lane = RecorderLane(0, epochs=3, learning_rate=0.01, **params)
    run([lane], data)
    assert lane.kept is not None
    value, state = lane.kept
    best = state["best"]
    preparation = _preparation(data)
    card = card_of("mlp", lane.params, lane.seed, data, preparation)
    weights = natural_weights("mlp", lane.params, best["weights"], best["buffers"])
    return lane, value, build_final_model(card, weights, preparation)


@pytest.mark.parametrize("n_layers", [0, 1, 3])
@pytest.mark.parametrize("make", [classification, regression])
def test_the_best_epochs_weights_give_the_value_that_the_lane_reported(make, n_layers):
    data = make()
    lane, value, model = _trained(data, n_layers=n_layers, width=20, dropout=0.1)
    found = validate(model, data, Metrics(data, loss_of(data)))
    assert value == min(v["val_loss"] for v in lane.reports.values())
    assert found["val_loss"] == pytest.approx(value, rel=1e-5)


def test_a_model_that_was_written_predicts_as_before_wherever_it_lies(tmp_path):
    data = classification()
    _, _, model = _trained(data)
    (tmp_path / "a").mkdir()
    write_whole(tmp_path / "a" / MODEL_FILE, encode_model(model), mode=0o600)
    (tmp_path / "a").rename(tmp_path / "moved")
    again = load_model(tmp_path / "moved")
    x = np.random.default_rng(1).normal(size=(7, data.n_features)) * 3
    scaling = model.preparation.numbers.scaling
    outputs = model.outputs(torch.from_numpy(scaling.apply(x)).float())
    assert np.array_equal(again.predict(x), outputs.argmax(1).numpy())
    assert np.allclose(again.predict_proba(x).sum(1), 1)
    assert again.classes == ("a", "b", "c")
    assert np.array_equal(again.predict(x[0]), again.predict(x[:1])), "a single row will do"
    x.flags.writeable = False
    again.predict(x)
    assert stat.S_IMODE((tmp_path / "moved" / MODEL_FILE).stat().st_mode) == 0o600


def test_a_target_is_predicted_in_its_own_unit():
    data = regression()
    _, _, model = _trained(data)
    scaling = model.preparation.numbers.scaling
    x = data.validation.x_NF.double().numpy() * scaling.scale_F + scaling.mean_F
    outputs = model.outputs(data.validation.x_NF)[:, 0].double().numpy()
    assert np.allclose(model.predict(x), outputs * data.target_scale + 150.0, rtol=1e-5)
    with pytest.raises(UsageError, match="use predict"):
        model.predict_proba(x)


def test_rows_of_another_width_are_refused():
    _, _, model = _trained(classification())
    with pytest.raises(ValueError, match="rows of 20 features are needed, not 1x3"):
        model.predict([1, 2, 3])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_rows_without_finite_numbers_are_named_and_refused(bad):
    data = classification()
    _, _, model = _trained(data)
    x = np.ones((9, data.n_features))
    assert len(model.predict(x)) == 9
    x[2, 3] = x[5, 0] = bad
    for predict in (model.predict, model.predict_proba):
        with pytest.raises(ValueError, match=r"^rows 2, 5 of 9, .*row 2: feature 'f3'\)") as told:
            predict(x)
        assert isinstance(told.value, UsageError)
        assert "\n" not in str(told.value)
    x[:, 7] = bad
    with pytest.raises(ValueError, match=r"^rows 0, 1, 2, 3, 4 and 4 more of 9, .*feature 'f7'\)"):
        model.predict(x)
    with pytest.raises(ValueError, match=r"^row 0 of 1, "):
        model.predict(x[0])
    assert len(model.predict(np.ones((0, data.n_features)))) == 0


def test_the_file_holds_tensors_and_text_alone(tmp_path):
    _, _, model = _trained(classification())
    path = tmp_path / MODEL_FILE
    write_whole(path, encode_model(model))
    with safe_open(path, framework="pt") as file:
        fitted = {f"preprocessing.numbers.{name}" for name in ("mean_F", "scale_F", "fill_F")}
        assert {*fitted, "output.weight"} <= set(file.keys())
        assert set(file.metadata()) == {"tuner"}


@pytest.mark.parametrize("damage", ["torn", "foreign", "absent", "renamed"])
def test_a_damaged_file_is_one_sentence(tmp_path, damage):
    _, _, model = _trained(classification())
    path = tmp_path / MODEL_FILE
    content = encode_model(model)
    if damage == "torn":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "foreign":
        path.write_bytes(content.replace(b"tuner-model-2", b"other-model-1"))
    elif damage == "renamed":
        path.write_bytes(content.replace(b"output.bias", b"output.bios"))
    with pytest.raises(RunFailed, match=r"cannot be read|is not a model|no file|another model"):
        load_model(tmp_path)


def test_one_flipped_bit_is_found_by_the_hash(tmp_path):
    _, _, model = _trained(classification())
    content = bytearray(encode_model(model))
    content[-200] ^= 1  # of a weight
    (tmp_path / MODEL_FILE).write_bytes(content)
    load_model(tmp_path)
    with pytest.raises(RunFailed, match="sha256"):
        load_model(tmp_path, sha256="0" * 64)


def test_a_model_of_the_users_own_is_built_by_what_is_given_and_by_nothing_else(tmp_path):
    data = classification()
    preparation = _preparation(data)
    card = card_of("evil:run", resolve({}), 1, data, preparation)

    def build(n_features, n_outputs):
        return torch.nn.Sequential(torch.nn.BatchNorm1d(n_features), torch.nn.Linear(20, 3))

    weights = build(20, 3).state_dict()
    model = build_final_model(card, weights, preparation, build)
    (tmp_path / MODEL_FILE).write_bytes(encode_model(model))
    with pytest.raises(UsageError, match=r"load_model\(\.\.\., build=run\)"):
        load_model(tmp_path)
    again = load_model(tmp_path, build=build)
    x_NF = data.validation.x_NF
    assert torch.equal(again.outputs(x_NF), model.outputs(x_NF))


def test_metrics_are_those_of_the_library():
    from sklearn.metrics import f1_score, r2_score

    data = classification()
    _, _, model = _trained(data)
    found = evaluate(model, data.validation)
    chosen = model.outputs(data.validation.x_NF).argmax(1).numpy()
    y_N = data.validation.y_N.numpy()
    assert found.metrics["f1"] == pytest.approx(f1_score(y_N, chosen, average="macro"))
    assert found.metrics["accuracy"] == pytest.approx((chosen == y_N).mean())
    assert sum(map(sum, found.confusion)) == found.n_rows == len(y_N)
    assert {"precision", "recall", "auroc", "log_loss"} <= found.metrics.keys()
    data = regression()
    _, _, model = _trained(data)
    found = evaluate(model, data.validation)
    assert found.metrics["r2"] == pytest.approx(r2_score(found.targets, found.predictions))
    assert found.metrics["rmse"] == pytest.approx(found.metrics["mse"] ** 0.5)


def test_both_splits_are_trained_on_and_the_validation_split_stays_what_it_was():
    data = classification()
    both = with_validation(data)
    assert both.train.n_rows == data.train.n_rows + data.validation.n_rows
    assert torch.equal(both.validation.x_NF, data.validation.x_NF)
