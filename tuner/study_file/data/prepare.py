"""`objective.prepare`: how columns become inputs of a model."""

from collections.abc import Mapping
from typing import Annotated, Any

from tuner.study_file.frozen import Model
from tuner.study_file.keys import Key
from tuner.study_file.values import OneOf, OneOfVariants, Real, Variant, Whole, variant_of

MAX_CATEGORIES = 100  # columns of inputs for one column of categories, unless a file sets it


class PrepareRule(Model):
    """Transforms that are fitted on the training rows."""

    missing: Annotated[
        str | Mapping[str, float],
        Key(
            OneOfVariants(
                {
                    "median": Variant(),
                    "mean": Variant(),
                    "most_frequent": Variant(),
                    "constant": Variant(Real()),
                }
            ),
            "value of missing numbers; a column with missing training values also gets an "
            "indicator. Missing categories are a category of their own",
        ),
    ] = "median"
    numbers: Annotated[
        str,
        Key(
            OneOf(("standard", "robust", "quantile", "none")),
            "`standard`: mean 0, deviation 1; `robust`: median 0, interquartile range 1, with "
            "outliers clipped smoothly to 3; `quantile`: a normal distribution by ranks",
        ),
    ] = "standard"
    categories: Annotated[
        str | Mapping[str, int],
        Key(
            OneOfVariants({"one_hot": Variant(Whole(2, 10_000), is_optional=True)}),
            "`one_hot`: an input for each category; `{one_hot: 30}`: for the 29 most frequent "
            f"ones, and one for all others. Without a number the bound is {MAX_CATEGORIES}",
        ),
    ] = "one_hot"

    def identity(self) -> dict[str, Any]:
        """Return the values that make another study, with the bound written out."""
        return {**self.model_dump(mode="json"), "categories": {"one_hot": self.max_categories}}

    @property
    def max_categories(self) -> int:
        setting = variant_of(self.categories)[1]
        return MAX_CATEGORIES if setting is None else int(setting)
