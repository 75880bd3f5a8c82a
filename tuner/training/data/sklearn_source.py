"""`{sklearn: digits}`: the data sets that scikit-learn ships."""

from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING

from tuner.study_file.params.trainer_params import DATA_SETS, IMAGE_SETS, Task
from tuner.training.data.source import BadData

if TYPE_CHECKING:
    from tuner.training.data.table import Table


class SklearnSource:
    """A data set of scikit-learn by its name."""

    def __init__(self, name: object) -> None:
        """Raise `BadData` for an unknown name."""
        if name not in DATA_SETS:
            raise BadData(f"no data set {name!r}; sklearn has: {', '.join(DATA_SETS)}")
        self._name = str(name)

    def content(self) -> Mapping[str, str]:
        """Return the package's version: the set is part of the package."""
        return {"scikit-learn": metadata.version("scikit-learn")}

    def load(self) -> "Table":
        from sklearn import datasets  # noqa: PLC0415 - takes a second

        from tuner.study_file.data.sources import ColumnType  # noqa: PLC0415 - loads pydantic
        from tuner.training.data.table import Column, Table  # noqa: PLC0415 - NumPy

        bunch = getattr(datasets, f"load_{self._name}")()
        is_class = DATA_SETS[self._name] is Task.CLASSIFICATION
        columns = [
            Column(name=str(name), kind=ColumnType.NUMBER, values_N=bunch.data[:, index])
            for index, name in enumerate(bunch.feature_names)
        ]
        target = Column(
            name="target",
            kind=ColumnType.CATEGORY if is_class else ColumnType.NUMBER,
            values_N=bunch.target,
            categories=tuple(map(str, bunch.target_names)) if is_class else (),
        )
        shape = IMAGE_SETS.get(self._name)
        return Table(name=self._name, columns=columns, target=target, shape=shape)
