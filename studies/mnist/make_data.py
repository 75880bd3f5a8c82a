"""Writes small files in the format of MNIST next to this file, in the folder `data`.

They hold the 1,797 digits that scikit-learn ships, enlarged to 28 x 28 pixels, so that the study
can be tried without a download. For the real thing put the four files of MNIST there instead.

    python studies/mnist/make_data.py
"""

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

N_TEST = 297


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write an array of bytes: two zero bytes, type, number of dimensions, sizes, data."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


def main() -> None:
    """Write the files."""
    folder = Path(__file__).with_name("data")
    folder.mkdir(exist_ok=True)
    digits = load_digits()
    small = (digits.images * 255 / 16).astype(np.uint8)
    large = np.stack([np.asarray(Image.fromarray(image).resize((28, 28))) for image in small])
    labels = digits.target.astype(np.uint8)
    for name, rows in (("train", slice(N_TEST, None)), ("t10k", slice(N_TEST))):
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", large[rows])
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels[rows])
    print(f"{folder}: written")


if __name__ == "__main__":
    main()
