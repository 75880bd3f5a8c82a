"""`objective: {data: ..., model: ...}`: the built-in trainer on a data source."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tuner.study.trial import Direction, Params, ParamValue
from tuner.study_file import not_yet
from tuner.study_file.code_names import (
    Definition,
    arity_fault,
    async_fault,
    is_code_name,
    read_callable,
)
from tuner.study_file.frozen import Model
from tuner.study_file.kinds.objective import Objective, ObjectiveKind
from tuner.study_file.kinds.trainer_schema import trainer_sections
from tuner.study_file.params.space import Choice, SearchSpace
from tuner.study_file.params.trainer_params import (
    DATA_SETS,
    OBJECTIVES,
    PER_LANE_PARAMS,
    SECONDS_METRIC,
    TRAINER_PARAMS,
    TRAINING_METRIC,
    KnownParams,
    Task,
    resolve,
)
from tuner.study_file.schema.parts import Schema, callable_schema, object_schema
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.items import (
    Item,
    Keys,
    has_refused_key,
    read_option,
    read_section,
    read_text,
)
from tuner.study_file.text.yaml_nodes import MapNode, Node, ScalarNode

_KEYS = ("data", "model", "loss")
_BUILT_IN = KnownParams(table=TRAINER_PARAMS, takes_others=False)
_OWN_MODEL = KnownParams(table=TRAINER_PARAMS, takes_others=True)

# Depth is not among them: lanes of several depths share a group.
_OF_MLP = frozenset({"batch_size", "width", "activation", "precision"})
# In half precision the model is an ordinary module, whose lanes agree in everything.
_OF_MLP_AS_A_MODULE = _OF_MLP | {"n_layers", "dropout"}


class SklearnData(Model):
    """`{sklearn: digits}`: a data set that scikit-learn ships."""

    sklearn: str


class TrainerObjective(Objective):
    """The built-in trainer on a data source."""

    kind: ClassVar[str] = "trainer"
    seconds_metric: ClassVar[str | None] = SECONDS_METRIC

    data: SklearnData
    model: str  # "mlp", or the user's module:callable or path/file.py:callable
    loss: str | None = None  # the user's; None: the one that fits the data

    @property
    def code_names(self) -> tuple[str, ...]:
        named = (self.model, self.loss)
        return tuple(name for name in named if name is not None and is_code_name(name))

    @property
    def has_own_model(self) -> bool:
        """Return whether the user's code builds the model."""
        return is_code_name(self.model)

    @property
    def is_same_in_company(self) -> bool:
        """Return False for a user's module, whose lanes round differently in a stack."""
        return not self.has_own_model

    @classmethod
    def complete(cls, params: Params) -> dict[str, ParamValue]:
        return resolve(params)

    def written(self) -> Any:
        """Return the mapping, without a loss that follows from the data."""
        return self.model_dump(exclude_none=True)

    def n_steps(self, params: Params) -> int | None:
        return int(resolve(params)["epochs"] or 0)

    def structural_params(self, params: Params, space: SearchSpace) -> frozenset[str]:
        """Return those of the multilayer perceptron, or all searched ones of a user's model.

        A user's model may not take all of them; then lanes with other values may share a group as
        well, which the worker finds out.
        """
        if self.has_own_model:
            return frozenset(space) - set(PER_LANE_PARAMS)
        return _OF_MLP_AS_A_MODULE if _may_be_bfloat16(params, space) else _OF_MLP

    def preparation(self, params: Params, space: SearchSpace, folder: Path) -> dict[str, Any]:
        """Request the data, and the user's code with the params that it has to take."""
        own = {
            "folder": str(folder),
            "model": self.model if self.has_own_model else None,
            "loss": self.loss,
            "params": dict(params),
            "searched": list(space),
        }
        return {
            "data": self.data.model_dump(mode="json"),
            "own": own if self.code_names else None,
        }


def _may_be_bfloat16(params: Params, space: SearchSpace) -> bool:
    searched = space.get("precision")
    if isinstance(searched, Choice):
        return "bfloat16" in searched.choices
    return resolve(params)["precision"] == "bfloat16"


class TrainerKind(ObjectiveKind):
    """A mapping with `data:` and `model:`, or an attempt at one."""

    spec = TrainerObjective

    def is_meant(self, node: Node | None) -> bool:
        return True

    def read(self, item: Item, folder: Path) -> TrainerObjective | None:
        section = read_section(item, Keys(allowed=_KEYS, later=not_yet.OBJECTIVE))
        if section is None:
            return None
        data = _read_data(section["data"]) if "data" in section else None
        model = _read_model(section["model"], folder) if "model" in section else None
        loss = _read_loss(section["loss"], folder) if "loss" in section else None
        for name, example in (("data", "data: {sklearn: digits}"), ("model", "model: mlp")):
            if name not in section and not has_refused_key(item, section):
                item.key_fault(f"`{name}:` is missing; add `{example}`")
        return TrainerObjective(data=data, model=model, loss=loss) if data and model else None

    def known_params(self, node: Node | None) -> KnownParams:
        entries = node.entries if isinstance(node, MapNode) else ()
        models = [value for key, value in entries if key.text == "model"]
        is_mlp = all(isinstance(model, ScalarNode) and model.text == "mlp" for model in models)
        return _BUILT_IN if is_mlp and not _has_unknown_key(node) else _OWN_MODEL

    def goal_fault(
        self, metric: str, direction: Direction, objective: Objective | None, node: Node | None
    ) -> str:
        """Check the goal; if a key of the objective is refused, any metric may be right."""
        if _has_unknown_key(node):
            return ""
        assert objective is None or isinstance(objective, TrainerObjective)
        return _metric_fault(metric, direction, _known_goals(objective))

    def lanes_fault(self, lanes: int) -> str:
        return ""

    def code_nodes(self, node: Node) -> Sequence[Node]:
        entries = node.entries if isinstance(node, MapNode) else ()
        return [value for key, value in entries if key.text in ("model", "loss")]

    def schema(self) -> Schema:
        return object_schema(
            {
                "data": object_schema({"sklearn": {"enum": list(DATA_SETS)}}, ["sklearn"]),
                "model": {"anyOf": [{"enum": ["mlp"]}, callable_schema("net.py:cnn")]},
                "loss": callable_schema("losses.py:focal"),
            },
            ["data", "model"],
        )

    def sections(self) -> Sequence[tuple[Schema, Mapping[str, Schema]]]:
        own_model: Schema = {
            "type": "object",
            "properties": {"model": {"type": "string", "pattern": ":"}},
            "required": ["model"],
        }
        return (
            (own_model, trainer_sections(_OWN_MODEL)),
            ({"type": "object"}, trainer_sections(_BUILT_IN)),
        )


def _has_unknown_key(node: Node | None) -> bool:
    """Return whether a key is refused: then related values cannot be checked."""
    return isinstance(node, MapNode) and any(k.text not in _KEYS for k, _ in node.entries)


def _read_data(item: Item) -> SklearnData | None:
    if isinstance(item.node, ScalarNode):
        item.fault("must name its source, such as {sklearn: digits}")
        return None
    section = read_section(item, Keys(allowed=("sklearn",), later=not_yet.DATA))
    if section is None:
        return None
    if "sklearn" not in section:
        if not has_refused_key(item, section):
            item.key_fault("names no data; write {sklearn: digits}")
        return None
    name = read_option(section["sklearn"], tuple(DATA_SETS), what="data set")
    return SklearnData(sklearn=name) if name else None


def _read_model(item: Item, folder: Path) -> str | None:
    """Read `mlp`, or a callable that builds a module, such as a class."""
    text = item.node.text if isinstance(item.node, ScalarNode) else ""
    if not is_code_name(text):
        return read_option(item, ("mlp", "module:callable"), not_yet.MODELS, "model")
    return read_callable(item, text, folder, _model_fault)


def _read_loss(item: Item, folder: Path) -> str | None:
    """Read a callable of outputs and labels."""
    text = read_text(item, "must name a callable of your own, such as losses.py:focal")
    if text is None:
        return None
    if not is_code_name(text):
        item.fault(
            f"{quote(text)} names no callable; write module:callable or path/file.py:callable, or "
            "remove it: cross-entropy or squared error follows from the data"
        )
        return None
    return read_callable(item, text, folder, _loss_fault)


def _model_fault(node: Definition, name: str) -> str:
    """Return no fault: the callable may take any arguments, and gets those params that it names."""
    return async_fault(node, name, f"def {node.name}(n_features, n_outputs)")


def _loss_fault(node: Definition, name: str) -> str:
    return arity_fault(node, name, f"def {node.name}(outputs, y)", 2)


def _known_goals(objective: TrainerObjective | None) -> dict[str, Direction]:
    """Return the metrics that can be optimized; all if the data is unknown."""
    tasks = [DATA_SETS[objective.data.sklearn]] if objective else list(Task)
    return {name: direction for task in tasks for name, direction in OBJECTIVES[task].items()}


def _metric_fault(metric: str, given: Direction, known: dict[str, Direction]) -> str:
    if metric == TRAINING_METRIC:
        return f"{metric} prunes and selects on training data; use val_loss"
    if metric not in known:
        guess = did_you_mean(metric, known) or f"; the trainer reports {listed(known)}"
        return f"unknown metric {quote(metric)} for this data{guess}"
    if known[metric] != given:
        return f"{metric} has the other direction; write `{known[metric]}: {metric}`"
    return ""
