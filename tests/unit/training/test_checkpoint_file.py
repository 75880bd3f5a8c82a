"""Checkpoint files: what goes in comes out, nothing else does, and nothing is unpickled."""

import functools
import hashlib
import os
import pickle
import random
import stat

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tuner.training import checkpoint
from tuner.training.checkpoint import BadCheckpoint, load_checkpoint, save_checkpoint
from tuner.training.lane import UnfitState

TREE = {
    "step": 3,
    "rate": 0.1,
    "nan": float("inf"),
    "name": "a \u00e9",
    "none": None,
    "flag": True,
    "list": [1, [2.5, {}], {"t": "a key that looks like a tensor"}],
    "weights": {"a": torch.arange(6.0).view(2, 3), "n": torch.tensor(7), "b": torch.tensor([True])},
}


def test_a_tree_comes_back_as_it_was(tmp_path):
    file = save_checkpoint(tmp_path, "4-2-3", TREE)
    tree = load_checkpoint(file.path)
    weights, wanted = tree.pop("weights"), dict(TREE)
    for name, tensor in wanted.pop("weights").items():
        assert torch.equal(weights[name], tensor)
        assert weights[name].dtype == tensor.dtype
    assert tree == wanted
    assert file.path.name == "4-2-3.safetensors"


def test_what_torch_numpy_and_random_call_their_state_comes_back(tmp_path):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    tree = {
        "optimizer": optimizer.state_dict(),
        "random": random.Random(3).getstate(),
        "numpy": np.random.Generator(np.random.MT19937(3)).bit_generator.state,
        "mean": np.float32(0.5),
    }
    loaded = load_checkpoint(save_checkpoint(tmp_path, "x", tree).path)
    again = torch.optim.AdamW(model.parameters())
    again.load_state_dict(loaded["optimizer"])
    assert torch.equal(
        again.state_dict()["state"][0]["exp_avg"], tree["optimizer"]["state"][0]["exp_avg"]
    )
    assert loaded["optimizer"]["param_groups"] == tree["optimizer"]["param_groups"]
    assert loaded["random"] == tree["random"]
    assert np.array_equal(loaded["numpy"]["state"]["key"], tree["numpy"]["state"]["key"])
    assert loaded["mean"] == 0.5


def test_the_file_is_private_hashed_and_alone(tmp_path):
    file = save_checkpoint(tmp_path, "4-2-3", TREE)
    content = file.path.read_bytes()
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.n_bytes == len(content)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["4-2-3.safetensors"]


def test_views_of_one_stack_are_saved_apart(tmp_path):
    stack = torch.arange(10.0)
    file = save_checkpoint(tmp_path, "x", {"a": stack[:5], "b": stack[3:], "t": stack[::2]})
    assert torch.equal(load_checkpoint(file.path)["b"], stack[3:])


@pytest.mark.parametrize("bad", [{"a": object()}, {(1, 2): 2}, {"a": {1, 2}}, {"a": b"x"}])
def test_other_things_are_refused(bad, tmp_path):
    with pytest.raises(TypeError, match="checkpoint"):
        save_checkpoint(tmp_path, "x", bad)
    assert not os.listdir(tmp_path)


class Net(torch.nn.Linear):
    """Not its state."""

    def __init__(self):
        super().__init__(1, 1)


ENDLESS = {}
ENDLESS["again"] = ENDLESS


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"m": {("a", 1): 2}}, """a tuple as a key: state["m"][('a', 1)]; keys are text or"""),
        ({"m": [0, torch.eye(2).to_sparse()]}, 'a sparse tensor: state["m"][1]; call its to_dense'),
        ({"m": "a\ud800"}, 'half of a surrogate pair, which is no Unicode: state["m"]; save'),
        ({3: {"a\udfff": 1}}, r'which is no Unicode: state[3]["a\udfff"]; save'),
        (
            {"m": torch.zeros(2, device="meta")},
            'a tensor without data (on the device meta): state["m',
        ),
        ({"m": torch.zeros(2, dtype=torch.complex128)}, 'of the kind torch.complex128: state["m"]'),
        ({"m": np.array(["text"])}, 'an array of the kind <U4: state["m"]'),
        ({"m": np.ma.array([1], mask=[True])}, 'a MaskedArray: state["m"]'),
        ({"m": np.datetime64("2026-11-30")}, 'a datetime64: state["m"]'),
        ({"m": 1j}, 'a complex: state["m"]'),
        ({"m": {1}}, 'a set: state["m"]'),
        ({"m": Net()}, 'a Net: state["m"]; call its state_dict()'),
        ({"m": 10**5000}, 'an int of so many digits: state["m"]'),
        (ENDLESS, "a state that contains itself"),
        (functools.reduce(lambda inner, _: [inner], range(5000), 1), "nested too deeply"),
    ],
)
def test_what_does_not_fit_is_one_sentence_that_says_where(state, sentence, tmp_path):
    with pytest.raises(UnfitState) as caught:
        save_checkpoint(tmp_path, "x", state)
    assert str(caught.value).startswith("a checkpoint cannot hold ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not os.listdir(tmp_path)


def test_numpys_ways_of_writing_the_same_are_saved(tmp_path):
    state = {
        "reversed": np.arange(3)[::-1],
        "other bytes": np.arange(3).astype(">i4"),
        "long": np.longdouble(0.5),
        "none": np.array(7.0),
        np.int64(3): np.bool_(True),
    }
    loaded = load_checkpoint(save_checkpoint(tmp_path, "x", state).path)
    assert loaded["reversed"].tolist() == [2, 1, 0]
    assert loaded["other bytes"].tolist() == [0, 1, 2]
    assert (loaded["long"], loaded["none"].tolist(), loaded[3]) == (0.5, 7.0, True)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    old = save_checkpoint(tmp_path, "x", {"step": 1})

    def full(handle, content):
        os.write(handle, content[: len(content) // 2])
        os.close(handle)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_synced", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, "x", {"step": 2})
    assert os.listdir(tmp_path) == ["x.safetensors"]
    assert load_checkpoint(old.path) == {"step": 1}


def test_synced_before_renamed_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)

        def spy(*args, name=name, real=real):
            is_folder = name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)
            calls.append("sync folder" if is_folder else name)
            return real(*args)

        monkeypatch.setattr(os, name, spy)
    save_checkpoint(tmp_path, "x", TREE)
    assert calls == ["fsync", "rename", "sync folder"]


def test_damaged_files_raise_one_kind_of_error(tmp_path):
    path = save_checkpoint(tmp_path, "x", TREE).path
    content, rng = path.read_bytes(), random.Random(3)
    damaged = [content[: rng.randrange(len(content))] for _ in range(40)]
    for _ in range(200):
        place = rng.randrange(len(content))
        flipped = content[place] ^ (1 << rng.randrange(8))
        damaged.append(content[:place] + bytes([flipped]) + content[place + 1 :])
    n_refused = 0
    for bad in damaged:
        path.write_bytes(bad)
        try:
            load_checkpoint(path)
        except BadCheckpoint:
            n_refused += 1
    assert n_refused >= 100  # flips inside the numbers are the hash's business


def test_strangers_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        load_checkpoint(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(BadCheckpoint, match="not a checkpoint of this version"):
        load_checkpoint(path)
    deep = "[" * 100_000 + "]" * 100_000
    for tree in ("{}", '{"d":{"a":{"x":1}}}', '{"t":"nowhere"}', '{"t":[]}', "[1]", deep, "1"):
        save_file({"a": torch.zeros(1)}, path, {"format": "tuner-checkpoint-1", "tree": tree})
        with pytest.raises(BadCheckpoint):
            load_checkpoint(path)
