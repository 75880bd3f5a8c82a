"""`objective.split`: which rows train, validate and test."""

from collections.abc import Mapping
from typing import Annotated, Any

from tuner.study_file.frozen import Model
from tuner.study_file.keys import Key
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import Item
from tuner.study_file.text.yaml_nodes import MapNode
from tuner.study_file.values import OneOfVariants, Real, Text, Value, Variant, Whole, variant_of

_SHARE = Interval(low=0, high=1, is_open_low=True, is_open_high=True)
_COLUMN = Text("must name a column, such as customer")
_PATH = Text("must be the path of a file, such as test.csv")


class _TestRows(Value):
    """A share of the rows, or the file that holds them."""

    _files = OneOfVariants({kind: Variant(_PATH) for kind in ("csv", "parquet")})
    _share = Real(_SHARE)

    def read(self, item: Item) -> Any:
        part = self._files if isinstance(item.node, MapNode) else self._share
        return part.read(item)

    def schema(self) -> dict[str, Any]:
        files = self._files.schema()["anyOf"][1:]
        return {"anyOf": [self._share.schema(), *files]}


class SplitRule(Model):
    """The rows of each split."""

    validation: Annotated[
        float, Key(Real(_SHARE), "share of the rows that every epoch is validated on")
    ] = 0.15
    test: Annotated[
        float | Mapping[str, str],
        Key(
            _TestRows(),
            "share of the rows that only the final evaluation reads, or a file of its own: "
            "`{csv: test.csv}`",
        ),
    ] = 0.15
    by: Annotated[
        str | Mapping[str, str],
        Key(
            OneOfVariants(
                {
                    "stratify": Variant(),
                    "random": Variant(),
                    "group": Variant(_COLUMN),
                    "time": Variant(_COLUMN),
                    "column": Variant(_COLUMN),
                }
            ),
            "`stratify`: every split has the same share of each class (rows of a numeric target "
            "are drawn at random); `{group: customer}`: no value of this column is in two splits; "
            "`{time: since}`: the latest rows by a date or a number are the test rows, those "
            "before them validate; `{column: fold}`: the column holds the words train, validation "
            "or test",
        ),
    ] = "stratify"
    seed: Annotated[int, Key(Whole(0, 2**32 - 1), "of the random choice of rows")] = 0

    @property
    def rule(self) -> str:
        return variant_of(self.by)[0]

    @property
    def column(self) -> str | None:
        """Return the column by which rows are split."""
        setting = variant_of(self.by)[1]
        return None if setting is None else str(setting)

    @property
    def test_file(self) -> tuple[str, str] | None:
        """Return kind and path of a separate file."""
        return None if isinstance(self.test, float) else next(iter(self.test.items()))

    def identity(self) -> dict[str, Any]:
        """Return the values that make another study; the content of a file counts, not its path."""
        values = self.model_dump(mode="json")
        if self.test_file is not None:
            values["test"] = {self.test_file[0]: "by content"}
        unused = {"time": ("seed",), "column": ("seed", "validation", "test")}.get(self.rule, ())
        if self.test_file is not None:
            unused = tuple(name for name in unused if name != "test")
        return {name: value for name, value in values.items() if name not in unused}
