"""The sources of data sets, each a record with its keys; the first key names the source."""

import codecs
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from tuner.study_file.frozen import Model
from tuner.study_file.keys import Key
from tuner.study_file.params.trainer_params import DATA_SETS, IMAGE_SETS, Task
from tuner.study_file.values import ByName, OneOf, Text, Texts, Whole

_COLUMN = Text("must name a column, such as age")


class ColumnType(StrEnum):
    """Kind of a column's values, as a study file names it."""

    NUMBER = "number"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    DATE = "date"


class Data(Model):
    """What a source was asked for."""

    source: ClassVar[str]  # the key that names it
    required: ClassVar[tuple[str, ...]] = ()  # further keys without a default
    is_path: ClassVar[bool] = False  # its value is a file or folder of this machine

    @property
    def name(self) -> str:
        """Return the value of its key: a name, a path, or code."""
        return str(getattr(self, self.source))

    @property
    def may_be_images(self) -> bool:
        """Return False if the data are known to be a table."""
        return True

    @property
    def task(self) -> Task | None:
        """Return the task if it is known without a look at the data."""
        return None

    @property
    def code_name(self) -> str | None:
        """Return the user's code that loads the data."""
        return None

    @property
    def path(self) -> str | None:
        return self.name if self.is_path else None

    def identity(self) -> dict[str, Any]:
        """Return the values that make another study; the content counts, wherever it is."""
        values = self.model_dump(mode="json")
        if "drop" in values:
            values["drop"] = sorted(values["drop"])
        if "encoding" in values:
            with suppress(LookupError):  # found later, with a message
                values["encoding"] = codecs.lookup(values["encoding"]).name
        return {**values, self.source: "by content"} if self.is_path else values


class SklearnData(Data):
    """`{sklearn: digits}`: a data set that scikit-learn ships."""

    source: ClassVar[str] = "sklearn"

    sklearn: Annotated[
        str, Key(OneOf(tuple(DATA_SETS), "data set"), "a data set that scikit-learn ships")
    ]

    @property
    def may_be_images(self) -> bool:
        return self.sklearn in IMAGE_SETS

    @property
    def task(self) -> Task:
        return DATA_SETS[self.sklearn]


class Columns(Data):
    """The use of the columns of a table."""

    drop: Annotated[tuple[str, ...], Key(Texts(_COLUMN), "columns that are no features")] = ()
    weight: Annotated[
        str | None,
        Key(
            _COLUMN, "a column with the weight of each row in the training loss; metrics ignore it"
        ),
    ] = None
    types: Annotated[
        Mapping[str, ColumnType],
        Key(
            ByName(
                OneOf(tuple(ColumnType)), "must be a mapping by column, such as {zip: category}"
            ),
            "type of a column where the inferred one is wrong",
        ),
    ] = {}


class TableData(Columns):
    """A table with a column for each feature and one for the target."""

    required: ClassVar[tuple[str, ...]] = ("target",)

    target: Annotated[str, Key(_COLUMN, "the column to predict")]

    @property
    def may_be_images(self) -> bool:
        return False


class CsvData(TableData):
    """`{csv: churn.csv, target: churned}`."""

    source: ClassVar[str] = "csv"
    is_path: ClassVar[bool] = True

    csv: Annotated[
        str,
        Key(
            Text("must be the path of a file, such as churn.csv"),
            "a CSV file with a header, also gzipped; `data/*.csv` takes several of the same "
            "columns. Relative to the study file, or to `TUNER_DATA` if it is set",
        ),
    ]
    delimiter: Annotated[str, Key(Text("must be one character"), "between two cells")] = ","
    encoding: Annotated[str, Key(Text("must name an encoding"), "such as latin-1 or utf-16")] = (
        "utf-8"
    )
    decimal: Annotated[str, Key(OneOf((".", ",")), "the decimal point of numbers")] = "."


class ParquetData(TableData):
    """`{parquet: churn.parquet, target: churned}`."""

    source: ClassVar[str] = "parquet"
    is_path: ClassVar[bool] = True

    parquet: Annotated[
        str,
        Key(
            Text("must be the path of a file, such as churn.parquet"),
            "a Parquet file, or several by a pattern",
        ),
    ]


class NpzData(Data):
    """`{npz: data.npz}`: arrays `x` and `y`."""

    source: ClassVar[str] = "npz"
    is_path: ClassVar[bool] = True

    npz: Annotated[
        str,
        Key(
            Text("must be the path of a file, such as data.npz"),
            "a NumPy archive with `x`, numbers of shape (rows, features) or 8-bit images of shape "
            "(rows, height, width[, channels]), and `y`, a target for each row",
        ),
    ]


class ImagesData(Data):
    """`{images: photos, size: 64}`: one folder for each class."""

    source: ClassVar[str] = "images"
    is_path: ClassVar[bool] = True

    images: Annotated[
        str,
        Key(
            Text("must be the path of a folder, such as photos"),
            "a folder with one folder of image files for each class",
        ),
    ]
    size: Annotated[int, Key(Whole(4, 1024), "height and width to which images are resized")] = 32
    colour: Annotated[
        str, Key(OneOf(("rgb", "grey")), "three channels or one; grey is for drawings and scans")
    ] = "rgb"

    @property
    def task(self) -> Task:
        return Task.CLASSIFICATION


class IdxData(Data):
    """`{idx: mnist}`: the files of MNIST."""

    source: ClassVar[str] = "idx"
    is_path: ClassVar[bool] = True

    idx: Annotated[
        str,
        Key(
            Text("must be the path of a folder, such as mnist"),
            "a folder with the files of MNIST, also gzipped: train-images-idx3-ubyte and "
            "train-labels-idx1-ubyte, and t10k-* with the test rows if there are any",
        ),
    ]

    @property
    def task(self) -> Task:
        return Task.CLASSIFICATION


class PythonData(Columns):
    """`{python: data.py:load}`: a callable of the user."""

    source: ClassVar[str] = "python"

    python: Annotated[
        str,
        Key(
            Text("must name a callable, such as data.py:load"),
            "a callable without arguments that returns a table (Arrow, pandas, polars, or a dict "
            "of columns) or a pair of arrays `(x, y)`",
        ),
    ]
    target: Annotated[str | None, Key(_COLUMN, "the column to predict, of a table")] = None

    @property
    def code_name(self) -> str | None:
        return self.python


AnyData = SklearnData | CsvData | ParquetData | NpzData | ImagesData | IdxData | PythonData

_RECORDS: tuple[type[Data], ...] = (
    CsvData,
    ParquetData,
    NpzData,
    ImagesData,
    IdxData,
    SklearnData,
    PythonData,
)
SOURCES: Mapping[str, type[Data]] = {record.source: record for record in _RECORDS}


def data_of(stored: Mapping[str, Any]) -> Data:
    """Return the record of what `Data.model_dump` gave."""
    kind = next(name for name in SOURCES if name in stored)
    return SOURCES[kind].model_validate(dict(stored))
