"""Prepared model files and what reading them costs, measured in a process of its own.

Prints one JSON object: how many files were refused, and everything that went otherwise.
"""

import json
import os
import random
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tuner
from tuner.errors import TunerError
from tuner.study_file.data.sources import ColumnType
from tuner.study_file.params.trainer_params import Task, resolve
from tuner.training.checkpoint import encode_tree
from tuner.training.data.numbers import Numbers
from tuner.training.data.one_hot import OneHot, OneHotColumn
from tuner.training.data.preparation import InputColumn, Preparation, Target
from tuner.training.data.scaling import Standard
from tuner.training.final.model import build_final_model, encode_model
from tuner.training.final.model_card import ModelCard
from tuner.training.mlp.module import mlp_module

CARD = ModelCard(
    model="mlp", params=resolve({"width": 5, "n_layers": 2}), seed=3, task=Task.CLASSIFICATION,
    n_features=4, n_outputs=3, target_mean=0.0, target_scale=1.0, classes=("a", "b", "c"),
    features=("p", "q", "r", "s"),
)  # fmt: skip
ODD = (None, True, -1, 0, 2**70, 10**9, 65_536, 64, 1e308, float("nan"), float("inf"), "", "x",
       "\x1b[31m", [], {}, [[]], ["a"], {"a": 1}, "../../x:y")  # fmt: skip
NUMBERS = tuple(v for v in ODD if type(v) in (int, float) and abs(v) < 1e309)
FREE = ("seed", "target_mean", "target_scale")  # what no tensor contradicts


def own_net(n_features: int, n_outputs: int, width: int) -> torch.nn.Module:
    """A user's model whose size the file's params choose."""
    return torch.nn.Sequential(
        torch.nn.Linear(n_features, width), torch.nn.ReLU(), torch.nn.Linear(width, n_outputs)
    )


def good_model(model: str = "mlp") -> bytes:
    """As `tuner train` writes it."""
    if model == "mlp":
        module = mlp_module(4, 3, n_layers=2, width=5, activation="relu", dropout=0.0)
    else:
        module = own_net(4, 3, 5)
    card = ModelCard(**{**vars(CARD), "model": model})
    weights = {name: p.detach() for name, p in module.named_parameters()}
    return encode_model(build_final_model(card, weights, preparation_of(card), own_net))


def preparation_of(card: ModelCard) -> Preparation:
    """Four numbers that are scaled."""
    return Preparation(
        columns=tuple(InputColumn(name=name, kind=ColumnType.NUMBER) for name in "pqrs"),
        numbers=numbers_of(4),
        one_hot=OneHot(columns=()),
        pixels=None,
        target=Target(task=card.task, classes=card.classes),
        features=card.features,
    )


def numbers_of(n: int, **first_days: float) -> Numbers:
    """Numbers that are left as they are."""
    return Numbers(
        first_days=first_days,
        fill_F=np.zeros(n),
        has_indicator_F=np.zeros(n, dtype=bool),
        scaling=Standard(mean_F=np.zeros(n), scale_F=np.ones(n)),
    )


def mixed_model() -> bytes:
    """A number, a date and a category, which make eight features."""
    kinds = {"p": ColumnType.NUMBER, "d": ColumnType.DATE, "c": ColumnType.CATEGORY}
    card = ModelCard(**{**vars(CARD), "n_features": 8, "features": tuple("abcdefgh")})
    preparation = Preparation(
        columns=tuple(InputColumn(name=name, kind=kind) for name, kind in kinds.items()),
        numbers=numbers_of(5, d=3.0),
        one_hot=OneHot(columns=(OneHotColumn(kept=("x", "y"), has_rare=True, has_missing=False),)),
        pixels=None,
        target=Target(task=card.task, classes=card.classes),
        features=card.features,
    )
    module = mlp_module(8, 3, n_layers=2, width=5, activation="relu", dropout=0.0)
    weights = {name: p.detach() for name, p in module.named_parameters()}
    return encode_model(build_final_model(card, weights, preparation))


def parts(content: bytes) -> tuple[dict[str, object], bytes]:
    """The header and the numbers."""
    (n,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + n]), content[8 + n :]


def joined(header: object, numbers: bytes) -> bytes:
    """A file again."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def odd_entries(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Places, dtypes and shapes that do not belong together."""
    header, numbers = parts(content)
    names = [name for name in header if name != "__metadata__"]
    for name in names:
        yield f"without {name}", joined({k: v for k, v in header.items() if k != name}, numbers)
        for field, values in {
            "dtype": ("F64", "I8", "BF16", "F8_E4M3", "X", None),
            "shape": ([], [1], [0], [2**60], [2**63, 0], [-1], [1.5], "x", [[4]], [2**40, 2**40]),
            "data_offsets": ([0, 0], [0, 2**62], [8, 4], [-1, 3], [0], None),
        }.items():
            for value in values:
                entry = {**header[name], field: value}
                if entry != header[name]:
                    yield f"{name} {field} {value}", joined({**header, name: entry}, numbers)
    yield (
        "renamed",
        joined({f"x{k}" if k == names[0] else k: v for k, v in header.items()}, numbers),
    )
    yield "more numbers", content + b"\0" * 64


def odd_headers(content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Headers of any kind."""
    header, numbers = parts(content)
    yield from odd_entries(content)
    for n in (2**63, 2**50, len(content), len(content) - 7, 0, 1):
        yield f"length {n}", struct.pack("<Q", n) + content[8:]
    about = header["__metadata__"]
    for key, value in about.items():
        for bad in ("", "{}", "[]", "null", "[" * 100_000, value[:-1], f"[{value}]", '"\ud800"',
                    "9" * 5000, "NaN", "{" + '"a":{},' * 500_000 + '"b":0}'):  # fmt: skip
            if bad != value:
                yield (
                    f"{key} {bad[:9]}",
                    joined({**header, "__metadata__": {**about, key: bad}}, numbers),
                )
    for text in (b"[" * 9_000_000, b'{"a":' * 3_000_000, b"[" + b"{}," * 5_000_000 + b"{}]",
                 b"{}", b"", b"\xff" * 100, b'{"a":1,' + b'"":0,' * 3_000_000 + b'"b":0}',
                 b"[" + b'"\\ud83d\\ude00",' * 1_000_000 + b"0]"):  # fmt: skip
        yield f"header {text[:9]!r}", joined(text, numbers)
    many = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(200_000)}
    yield "many tensors", joined({**many, "__metadata__": about}, b"")
    for _ in range(60):
        yield "cut off", content[: rng.randrange(len(content))]


def odd_cards(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every field with values of every kind."""
    header, numbers = parts(content)
    about = json.loads(header["__metadata__"]["tuner"])
    card = about["card"]

    def file(changed: object) -> bytes:
        text = json.dumps({**about, "card": changed})
        return joined({**header, "__metadata__": {"tuner": text}}, numbers)

    for name in card:
        if name != "shape":  # files of the first format have none
            yield f"card without {name}", file({k: v for k, v in card.items() if k != name})
        for value in ODD:
            is_free = name in FREE and value in NUMBERS and value is not True
            if not is_free and (name, value) not in (("features", []), ("shape", None)):
                yield f"card {name} {value}", file({**card, name: value})
    for name in ("width", "n_layers", "activation", "precision", "dropout"):
        for value in ODD:
            if not (name == "dropout" and value == 0):
                changed = {**card["params"], name: value}
                yield f"param {name} {value}", file({**card, "params": changed})


def odd_preparations(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every field of the preparation with values of every kind."""
    header, numbers = parts(content)
    about = json.loads(header["__metadata__"]["tuner"])
    fitted = about["preparation"]

    def file(changed: object) -> bytes:
        text = json.dumps({**about, "preparation": changed})
        return joined({**header, "__metadata__": {"tuner": text}}, numbers)

    parts_of = [((), fitted), (("numbers",), fitted["numbers"])]
    parts_of += [((name, 0), fitted[name][0]) for name in ("columns", "one_hot")]
    for place, part in parts_of:
        for name in part:
            yield f"{place} without {name}", file(_put(fitted, (*place, name), ...))
            for value in ODD:
                is_text = type(value) is str and name in ("target", "name")
                is_same = value is part[name] or (value == part[name] and value is not True)
                if not is_text and not is_same:
                    yield f"{place} {name} {value}", file(_put(fitted, (*place, name), value))
    for value in ODD:
        if value is not None:
            yield f"first day {value}", file(_put(fitted, ("numbers", "first_days", "p"), value))


def _put(tree: Any, place: tuple[Any, ...], value: object) -> Any:
    """A copy of the tree with another value in one place, or without it."""
    copy = json.loads(json.dumps(tree))
    part = copy
    for key in place[:-1]:
        part = part[key]
    if value is ...:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return copy


def nan_in(content: bytes) -> Iterator[tuple[str, bytes]]:
    """NaN in each of the tensors."""
    header, numbers = parts(content)
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] != "U8":
            _, end = entry["data_offsets"]
            n = 8 if entry["dtype"] == "F64" else 4
            nan = struct.pack("<d" if n == 8 else "<f", float("nan"))
            yield f"NaN in {name}", joined(header, numbers[: end - n] + nan + numbers[end:])


def odd_places(folder: Path) -> Iterator[Path]:
    """What is no file that can be read."""
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "folder" / "model.safetensors").mkdir(parents=True)
    yield from (folder / name for name in ("fifo", "loop", "folder", "absent", "a" * 5000, "a\0b"))
    yield from map(Path, ("/dev/zero", "/dev/null", "/proc/self/mem", "/dev/null/x"))


def read(load: object, path: Path) -> tuple[str, float]:
    """What came of it: refused, loaded, or another error; and the processor's seconds."""
    started = time.process_time()
    try:
        load(path)
        outcome = "loaded"
    except TunerError as error:
        is_sentence = str(error).isprintable() and len(str(error)) < 6000
        outcome = "refused" if is_sentence else f"not a sentence: {str(error)[:200]!r}"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"[:300]
    return outcome, time.process_time() - started


def memory_mb(field: str) -> float:
    """Of this process: VmRSS now, VmHWM at its peak since `forget_peak`."""
    (line,) = [x for x in Path("/proc/self/status").read_text().split("\n") if field in x]
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Let the peak be what it is now."""
    Path("/proc/self/clear_refs").write_text("5")


class Reader:
    """Reads files one by one, and notes what went otherwise than it should."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found = {"refused": 0, "odd": [], "slow": [], "large": []}

    def look(
        self, load: object, what: str, content: bytes | Path, *, may_load: bool = False
    ) -> None:
        """Read what should be refused."""
        where, size_mb = content, 0.0
        if isinstance(content, bytes):
            where, size_mb = self._path, len(content) / 1e6
            where.write_bytes(content)
        forget_peak()
        before = memory_mb("VmRSS")
        outcome, seconds = read(load, where)
        grown = memory_mb("VmHWM") - before
        if outcome == "refused":
            self.found["refused"] += 1
        elif not (may_load and outcome == "loaded"):
            self.found["odd"].append(f"{what}: {outcome}")
        if seconds > 1:
            self.found["slow"].append(f"{what}: {seconds:.1f} s")
        if grown > size_mb + 200:
            self.found["large"].append(f"{what}: {grown:.0f} MB")


def load_own(path: Path) -> object:
    """A model of the user's own."""
    return tuner.load_model(path, build=own_net)


def main(folder: Path) -> None:
    """Read everything."""
    rng, path = random.Random(16), folder / "x.safetensors"
    model, own = good_model(), good_model("net:own_net")
    state = encode_tree({"w": torch.ones(3, 4), "n": [1, 2.5, None], "t": (1, torch.zeros(2))})
    loads = {tuner.load_model: model, load_own: own, tuner.load_state: state}
    for load, content in loads.items():
        path.write_bytes(content)
        assert read(load, path)[0] == "loaded"
    reader, places = Reader(path), list(odd_places(folder))
    for what, content in [*nan_in(model), *odd_cards(model), *odd_headers(model, rng)]:
        reader.look(tuner.load_model, what, content)
    mixed = mixed_model()
    path.write_bytes(mixed)
    assert read(tuner.load_model, path)[0] == "loaded"
    for what, content in odd_preparations(mixed):
        reader.look(tuner.load_model, what, content)
    for what, content in [(w, c) for w, c in odd_cards(own) if w.startswith("param width")]:
        reader.look(load_own, f"own {what}", content)
    for what, content in odd_headers(state, rng):
        # A checkpoint may hold any shapes, as long as they are those of the header.
        reader.look(tuner.load_state, f"state {what}", content, may_load=True)
    for load in loads:
        for place in places:
            reader.look(load, str(place)[-50:], place)
        for content in loads.values():
            for _ in range(150):
                reader.look(load, "flipped", flipped(content, rng), may_load=True)
    reader.look(tuner.load_model, "of a function", state)
    reader.look(tuner.load_state, "a model", model)
    print(json.dumps(reader.found))


def flipped(content: bytes, rng: random.Random) -> bytes:
    """One bit is wrong, or some."""
    bad = bytearray(content)
    for _ in range(rng.choice((1, 1, 8))):
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    return bytes(bad)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
