"""`{images: photos}`: a folder with one folder of image files for each class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.training.data.content import Hashes
from tuner.training.data.files import find_folder
from tuner.training.data.memory import check_bytes
from tuner.training.data.source import BadData, DataRequest

if TYPE_CHECKING:
    from tuner.training.data.table import Array, Table

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"})
_MAX_NAMED = 3  # broken files in a message


class ImageSource:
    """Every image is resized to one shape."""

    def __init__(self, request: DataRequest, hashes: Hashes) -> None:
        """Find the files; raises `BadData`."""
        self._name = str(request.source["images"])
        self._size = int(request.source.get("size", 32))
        self._mode = "L" if request.source.get("colour") == "grey" else "RGB"
        self._hashes = hashes
        self._folder = find_folder(self._name, request.folder)
        classes = sorted(p for p in self._folder.iterdir() if p.is_dir() and p.name[0] != ".")
        self._files = {path.name: images_in(path) for path in classes}
        empty = [name for name, files in self._files.items() if not files]
        if not any(self._files.values()):
            raise BadData(
                f"{self._folder} has no images in folders of their classes, such as "
                f"{self._name}/cat/1.png"
            )
        if empty:
            raise BadData(
                f"{len(empty)} of {len(classes)} folders in {self._folder} hold no images; remove "
                "them"
            )

    def content(self) -> Mapping[str, str]:
        """Return the hashes of the files, and how many each class has."""
        hashes = self._hashes.of([file for files in self._files.values() for file in files])
        return {**hashes, **{f"class {name}": str(len(f)) for name, f in self._files.items()}}

    def load(self) -> "Table":
        import numpy as np  # noqa: PLC0415 - not needed if the folder is there

        from tuner.study_file.data.sources import ColumnType  # noqa: PLC0415 - loads pydantic
        from tuner.training.data.array_table import check_classes  # noqa: PLC0415 - NumPy
        from tuner.training.data.table import Column, Table  # noqa: PLC0415 - NumPy

        check_classes(f"the folder {self._name}", len(self._files))
        numbers = [n for n, files in enumerate(self._files.values()) for _ in files]
        target = Column(
            name="class",
            kind=ColumnType.CATEGORY,
            values_N=np.array(numbers, dtype=np.int64),
            categories=tuple(self._files),
        )
        files = [file for each in self._files.values() for file in each]
        pixels_NCHW = read_images(files, self._size, self._mode)
        return Table(name=Path(self._name).name, columns=(), target=target, pixels_NCHW=pixels_NCHW)


def read_images(files: Sequence[Path], size: int, mode: str) -> "Array":
    """Return images as bytes (N, C, H, W), resized; `mode` is L or RGB. Raises `BadData`."""
    import numpy as np  # noqa: PLC0415 - not needed if the folder is there
    from PIL import Image  # noqa: PLC0415 - of images alone

    n_channels = 1 if mode == "L" else 3
    check_bytes(len(files) * size * size * n_channels)
    pixels_NHWC = np.empty((len(files), size, size, n_channels), dtype=np.uint8)
    broken: list[Path] = []
    for number, file in enumerate(files):
        try:
            with Image.open(file) as image:
                resized = image.convert(mode).resize((size, size), Image.Resampling.BILINEAR)
        # Pillow raises errors of many types for damaged files, and a warning for huge ones.
        except Exception:
            broken.append(file)
            continue
        pixels_NHWC[number] = np.asarray(resized, dtype=np.uint8).reshape(size, size, n_channels)
    if broken:
        named = ", ".join(f"{file.parent.name}/{file.name}" for file in broken[:_MAX_NAMED])
        more = f" and {len(broken) - _MAX_NAMED} more" if len(broken) > _MAX_NAMED else ""
        raise BadData(
            f"{len(broken)} of {len(files):,} images cannot be read: {named}{more}; remove them"
        )
    return np.ascontiguousarray(pixels_NHWC.transpose(0, 3, 1, 2))


def images_in(folder: Path) -> list[Path]:
    """Return all image files below a folder, sorted."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if path.suffix.lower() in _SUFFIXES)
