"""`{idx: mnist}`: the files of MNIST, also gzipped."""

import gzip
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.training.data.content import Hashes
from tuner.training.data.files import find_folder
from tuner.training.data.memory import check_files
from tuner.training.data.source import BadData, DataRequest

if TYPE_CHECKING:
    from tuner.training.data.table import Array, Table

_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_BYTES = 0x08  # the code of unsigned bytes in a file's head


class IdxSource:
    """The training rows; with files of test rows those follow, and are the test split."""

    def __init__(self, request: DataRequest, hashes: Hashes) -> None:
        """Find the files; raises `BadData`."""
        self._name = str(request.source["idx"])
        self._hashes = hashes
        self._split = request.split
        folder = find_folder(self._name, request.folder)
        self._train = [_find(folder, name) for name in _TRAIN]
        has_test = any(_path(folder, name) for name in _TEST)
        self._test = [_find(folder, name) for name in _TEST] if has_test else []

    def content(self) -> Mapping[str, str]:
        return self._hashes.of([*self._train, *self._test])

    def load(self) -> "Table":
        import numpy as np  # noqa: PLC0415 - not needed if the folder is there

        from tuner.study_file.data.sources import ColumnType  # noqa: PLC0415 - loads pydantic
        from tuner.study_file.data.split import SplitRule  # noqa: PLC0415 - loads pydantic
        from tuner.training.data.array_table import check_classes  # noqa: PLC0415 - NumPy
        from tuner.training.data.table import Column, Table  # noqa: PLC0415 - NumPy

        if self._test and self._split["test"] != SplitRule().test:
            raise BadData(f"{_TEST[0]} holds the test rows; remove `test:` from `split:`")
        check_files([*self._train, *self._test])
        pairs = [_read_pair(*pair) for pair in (self._train, self._test) if pair]
        if len({pixels.shape[1:] for pixels, _ in pairs}) > 1:
            raise BadData("the images of the test files have another size than those for training")
        pixels_NHW = np.concatenate([pixels for pixels, _ in pairs])
        labels_N = np.concatenate([labels for _, labels in pairs])
        classes, numbers_N = np.unique(labels_N, return_inverse=True)
        check_classes("the labels", len(classes))
        target = Column(
            name="label",
            kind=ColumnType.CATEGORY,
            values_N=numbers_N.astype(np.int64),
            categories=tuple(map(str, classes.tolist())),
        )
        return Table(
            name=Path(self._name).name,
            columns=(),
            target=target,
            n_test=len(pairs[1][1]) if self._test else 0,
            pixels_NCHW=pixels_NHW[:, None],
        )


def _find(folder: Path, name: str) -> Path:
    found = _path(folder, name)
    if found is None:
        raise BadData(f"there is no file {folder / name}, nor {name}.gz")
    return found


def _path(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")  # as some programs unpack them
    names = (name, f"{name}.gz", dotted, f"{dotted}.gz")
    return next((folder / each for each in names if (folder / each).is_file()), None)


def _read_pair(images: Path, labels: Path) -> "tuple[Array, Array]":
    pixels_NHW, labels_N = _read(images, 3), _read(labels, 1)
    if len(pixels_NHW) != len(labels_N):
        raise BadData(
            f"{images.name} has {len(pixels_NHW):,} images and {labels.name} {len(labels_N):,} "
            "labels"
        )
    return pixels_NHW, labels_N


def _read(file: Path, n_dimensions: int) -> "Array":
    """Read a file of unsigned bytes: two zero bytes, type, dimensions, sizes (big-endian), data."""
    import numpy as np  # noqa: PLC0415 - not needed if the folder is there

    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError) as error:
        raise BadData(f"{file.name} cannot be read: it is damaged or not gzip") from error
    n_head = 4 + 4 * n_dimensions
    if len(content) < n_head or content[:4] != bytes([0, 0, _BYTES, n_dimensions]):
        raise BadData(f"{file.name} is no IDX file of bytes with {n_dimensions} dimensions")
    sizes = struct.unpack(f">{n_dimensions}I", content[4:n_head])
    array = np.frombuffer(content, dtype=np.uint8, offset=n_head)
    if array.size != np.prod(sizes, dtype=np.int64):
        raise BadData(f"{file.name} holds {array.size:,} bytes, and its head names {sizes}")
    if not array.size:
        raise BadData(f"{file.name} is empty")
    return array.reshape(sizes)
