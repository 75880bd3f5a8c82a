"""Preparation of data sets, and what the search sees of them."""

import json
import os
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data_requests import data_request
from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.split import SplitRule
from tuner.study_file.params.trainer_params import DATA_SETS, OBJECTIVES, Task
from tuner.training.data import dataset as data_module
from tuner.training.data.dataset import load_dataset
from tuner.training.data.preparation import Preparation, load_preparation
from tuner.training.data.preparing import prepare
from tuner.training.data.sklearn_source import SklearnSource
from tuner.training.data.source import BadData
from tuner.training.data.split import split_rows
from tuner.training.folders import UnsafeFolder, open_private_folder


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    return tmp_path_factory.mktemp("prepared")


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_data_set_is_split_and_standardized(name, parent):
    prepared = prepare(data_request({"sklearn": name}), parent)
    data = load_dataset(prepared.folder, "cpu")
    raw = SklearnSource(name).load()
    n_rows = raw.n_rows
    assert data.task == DATA_SETS[name]
    assert prepared.metrics == OBJECTIVES[data.task]
    assert data.train.n_rows == pytest.approx(0.7 * n_rows, abs=1.01)
    assert data.validation.n_rows == pytest.approx(0.15 * n_rows, abs=1.01)
    assert data.train.x_NF.dtype is torch.float32
    mean_F, scale_F = data.train.x_NF.mean(0), data.train.x_NF.std(0, correction=0)
    assert mean_F.abs().max() < 1e-4
    constant_F = torch.from_numpy(
        raw.numbers_NF()[split_rows(raw, SplitRule())["train"]].std(0) == 0
    )
    assert torch.allclose(scale_F[~constant_F], torch.ones(1), atol=1e-3)
    assert not scale_F[constant_F].any()
    if data.task is Task.REGRESSION:
        assert abs(data.train.y_N.mean().item()) < 1e-4
        assert data.target_scale > 50  # diabetes: the unit of the original target
    else:
        shares = [torch.bincount(s.y_N) / s.n_rows for s in (data.train, data.validation)]
        assert torch.allclose(*shares, atol=0.05)


def test_the_splits_cover_every_row_once():
    raw = SklearnSource("digits").load()
    rows = split_rows(raw, SplitRule())
    assert np.array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(1797))
    assert [len(index) for index in rows.values()] == [1257, 270, 270]


def test_the_summary_is_one_line(parent):
    prepared = prepare(data_request({"sklearn": "digits"}), parent)
    assert prepared.summary == (
        "digits: 1797 rows, 64 features, 10 classes; 1257 train, 270 validation, 270 test"
    )


def test_preparation_is_repeatable_and_private(parent, tmp_path):
    first = prepare(data_request({"sklearn": "wine"}), parent)
    second = prepare(data_request({"sklearn": "wine"}), tmp_path / "new" / "folder")
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != prepare(data_request({"sklearn": "iris"}), parent).fingerprint
    for file in second.folder.iterdir():
        assert file.read_bytes() == (first.folder / file.name).read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(second.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(second.folder.parent.stat().st_mode) == 0o700
    assert os.listdir(second.folder.parent) == [second.folder.name]


def test_a_finished_folder_is_found_without_torch_or_sklearn(parent):
    prepared = prepare(data_request({"sklearn": "iris"}), parent)
    request = {
        "data": data_request({"sklearn": "iris"}),
        "own": None,
        "loss": None,
        "metrics": [],
        "names": [],
        "data_folder": str(parent),
    }
    code = (
        "import os, sys; from tuner.worker.__main__ import main\n"
        "def leave(code):\n"
        "    print(sorted({'torch', 'sklearn', 'numpy', 'optuna'} & set(sys.modules)), code)\n"
        "    sys.stdout.flush(); real(0)\n"
        "real, os._exit = os._exit, leave\n"
        "main(['prepare', '--kind', 'trainer'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    (modules,) = done.stderr.splitlines()  # where everything but the answer goes
    assert json.loads(done.stdout) == {
        "folder": str(prepared.folder),
        "fingerprint": prepared.fingerprint,
        "summary": prepared.summary,
        "metrics": dict(OBJECTIVES[Task.CLASSIFICATION]),
        "code": {"tuner": metadata.version("tuner")},
        "n_rows": 150,
    }
    assert modules == "[] 0"


def test_the_test_split_is_never_opened(parent, monkeypatch):
    prepared = prepare(data_request({"sklearn": "iris"}), parent)
    opened = []
    real = np.load
    monkeypatch.setattr(
        data_module.np, "load", lambda path, **how: opened.append(path.name) or real(path, **how)
    )
    load_dataset(prepared.folder, "cpu")
    assert sorted(opened) == ["train_x.npy", "train_y.npy", "validation_x.npy", "validation_y.npy"]
    assert (prepared.folder / "test_x.npy").exists()


def test_a_preparation_that_fails_leaves_nothing(tmp_path):
    request = data_request({"sklearn": "iris"})
    with pytest.raises(BadData, match="digits, breast_cancer"):
        prepare({**request, "source": {"sklearn": "nope"}}, tmp_path)
    with pytest.raises(BadData, match=r"sources: sklearn, csv"):
        prepare({**request, "source": {"more": 1}}, tmp_path)
    assert not os.listdir(tmp_path)


def test_a_second_process_that_was_first_is_accepted(tmp_path, monkeypatch):
    module = sys.modules["tuner.training.data.preparing"]

    real = module._publish

    def beaten(unfinished: Path, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        (folder / "meta.json").write_text((unfinished / "meta.json").read_text())
        real(unfinished, folder)

    monkeypatch.setattr(module, "_publish", beaten)
    assert prepare(data_request({"sklearn": "iris"}), tmp_path).summary.startswith("iris")
    assert len(os.listdir(tmp_path)) == 1


def test_folders_that_others_can_write_to_are_refused(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(UnsafeFolder, match="chmod 700"):
        prepare(data_request({"sklearn": "iris"}), shared)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(UnsafeFolder, match="not a folder"):
        open_private_folder(link)


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_a_preparation_is_stored_without_code_and_read_back(name, parent):
    prepared = prepare(data_request({"sklearn": name}), parent)
    table = SklearnSource(name).load()
    fitted = Preparation.fit(table, split_rows(table, SplitRule())["train"], PrepareRule())
    stored = load_preparation(prepared.folder)
    assert np.array_equal(stored.inputs(table.columns), fitted.inputs(table.columns))
    assert (stored.target, stored.features) == (fitted.target, fitted.features)
    data = load_dataset(prepared.folder, "cpu")
    rows = split_rows(table, SplitRule())["validation"]
    assert np.array_equal(data.validation.x_NF.numpy(), stored.inputs(table.columns)[rows])
    y_N = stored.target.apply(table.target.values_N)
    assert np.array_equal(data.validation.y_N.numpy(), y_N[rows])
    suffixes = {file.suffix for file in prepared.folder.iterdir()}
    assert suffixes == {".npy", ".json", ".safetensors"}


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("digits", "f659258d20e2120f955f44e5334acff403d1066c000ad470d675a714de8f662f"),
        ("diabetes", "df2997ed43724d8588e0057748e73a15c08a98dbb31190b9ea23d7493649fa8e"),
    ],
)
def test_the_fingerprints_of_stored_studies_stay(name, fingerprint, parent):
    assert prepare(data_request({"sklearn": name}), parent).fingerprint == fingerprint
