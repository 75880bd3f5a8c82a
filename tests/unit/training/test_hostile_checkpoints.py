"""Prepared and damaged checkpoint files: nothing of them runs, wrong data does not go unnoticed."""

import hashlib
import io
import json
import os
import pickle
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tuner.training.checkpoint import BadCheckpoint, load_checkpoint, save_checkpoint

TREE = {"step": 3, "rate": 0.5, "weights": {"a": torch.arange(64.0), "b": torch.ones(3, 4)}}


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def bombs(mark: Path, folder: Path) -> Iterator[bytes]:
    """Files that run code in a reader that unpickles."""
    plain = pickle.dumps(Bomb(mark))
    yield plain
    buffer = io.BytesIO()
    torch.save({"step": Bomb(mark)}, buffer)
    yield buffer.getvalue()
    torch.save({"step": Bomb(mark)}, buffer := io.BytesIO(), _use_new_zipfile_serialization=False)
    yield buffer.getvalue()
    good = save_checkpoint(folder, "good", TREE).path.read_bytes()
    yield good + plain
    yield plain + good
    text = plain.decode("latin-1")
    for tree in (
        text,
        json.dumps(text),
        json.dumps({"d": {"step": text}}),
        json.dumps({"p": text}),
    ):
        path = folder / "x.safetensors"
        save_file({"a": torch.zeros(1)}, path, {"format": "tuner-checkpoint-1", "tree": tree})
        yield path.read_bytes()


def test_a_prepared_pickle_never_runs(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "4-2-3.safetensors"
    n_files = 0
    for content in bombs(mark, tmp_path):
        path.write_bytes(content)
        with pytest.raises(BadCheckpoint):
            load_checkpoint(path)
        assert not mark.exists()
        n_files += 1
    assert n_files == 9
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists(), "it would have been seen"


def regions(content: bytes) -> dict[str, range]:
    """The parts of a safetensors file: length, header, numbers."""
    (n_header,) = struct.unpack("<Q", content[:8])
    return {
        "length": range(8),
        "header": range(8, 8 + n_header),
        "numbers": range(8 + n_header, len(content)),
    }


@pytest.mark.parametrize("region", ["length", "header", "numbers"])
def test_a_file_that_is_cut_off_anywhere_is_refused(region, tmp_path):
    path = save_checkpoint(tmp_path, "x", TREE).path
    content = path.read_bytes()
    for end in regions(content)[region]:
        path.write_bytes(content[:end])
        with pytest.raises(BadCheckpoint):
            load_checkpoint(path)


@pytest.mark.parametrize("region", ["length", "header", "numbers"])
def test_a_flipped_bit_is_refused_by_the_reader_or_by_the_hash(region, tmp_path):
    saved = save_checkpoint(tmp_path, "x", TREE)
    content, rng = saved.path.read_bytes(), random.Random(region)
    places = regions(content)[region]
    n_loaded = 0
    for _ in range(300):
        place = rng.choice(places)
        bad = bytearray(content)
        bad[place] ^= 1 << rng.randrange(8)
        # The agent compares this with the database before a worker reads the file.
        assert hashlib.sha256(bad).hexdigest() != saved.sha256
        saved.path.write_bytes(bad)
        try:
            load_checkpoint(saved.path)
            n_loaded += 1
        except BadCheckpoint:
            pass
    assert (n_loaded == 0) or region != "length"
