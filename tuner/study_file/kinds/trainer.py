"""`objective: {data: ..., model: ...}`: the built-in trainer on a data source."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tuner.study.trial import Direction, Params, ParamValue
from tuner.study_file.code_names import (
    Definition,
    async_fault,
    is_code_name,
    read_callable,
)
from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.reading import data_schema, read_data
from tuner.study_file.data.rules import AUGMENTATIONS, check_images, read_rules
from tuner.study_file.data.sources import AnyData, PythonData
from tuner.study_file.data.split import SplitRule
from tuner.study_file.keys import record_schema
from tuner.study_file.kinds.losses import (
    BuiltInLoss,
    are_default_metrics,
    check_task,
    loss_schema,
    metrics_schema,
    read_loss,
    read_metrics,
    smoothing_fault,
    task_fault,
)
from tuner.study_file.kinds.objective import Objective, ObjectiveKind
from tuner.study_file.kinds.trainer_schema import trainer_sections
from tuner.study_file.params.space import Choice, SearchSpace
from tuner.study_file.params.trainer_params import (
    CNN_PARAMS,
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
    Section,
    has_refused_key,
    read_option,
    read_section,
)
from tuner.study_file.text.yaml_nodes import MapNode, Node, ScalarNode

_KEYS = ("data", "split", "prepare", "task", "model", "loss", "metrics", "augment")
MODELS = ("mlp", "cnn")  # the built-in ones
_BUILT_IN = KnownParams(table=TRAINER_PARAMS, takes_others=False)
_CNN = KnownParams(table={**TRAINER_PARAMS, **CNN_PARAMS}, takes_others=False)
_OWN_MODEL = KnownParams(table=TRAINER_PARAMS, takes_others=True)

# Depth is not among them: lanes of several depths share a group.
_OF_MLP = frozenset({"batch_size", "width", "activation", "precision"})
# In half precision the model is an ordinary module, whose lanes agree in everything.
_OF_MLP_AS_A_MODULE = _OF_MLP | {"n_layers", "dropout"}
_OF_CNN = _OF_MLP_AS_A_MODULE | set(CNN_PARAMS)


class TrainerObjective(Objective):
    """The built-in trainer on a data source."""

    kind: ClassVar[str] = "trainer"
    seconds_metric: ClassVar[str | None] = SECONDS_METRIC

    data: AnyData
    split: SplitRule = SplitRule()
    prepare: PrepareRule = PrepareRule()
    task: Task | None = None  # None: it follows from the target
    model: str  # "mlp", "cnn", or the user's module:callable or path/file.py:callable
    loss: str | BuiltInLoss | None = None  # text: the user's; None: the one that fits the data
    metrics: tuple[str, ...] | None = None  # None: the usual ones of the task
    augment: tuple[str, ...] = ()  # random changes of training images

    @property
    def code_names(self) -> tuple[str, ...]:
        named = (self.data.code_name, self.model, self.loss)
        return tuple(name for name in named if isinstance(name, str) and is_code_name(name))

    @property
    def path_names(self) -> tuple[str, ...]:
        test_file = self.split.test_file
        named = (self.data.path, test_file[1] if test_file else None)
        return tuple(name for name in named if name is not None)

    @property
    def known_task(self) -> Task | None:
        """Return the task if it is known without a look at the data."""
        return self.task or self.data.task

    @property
    def has_own_model(self) -> bool:
        """Return whether the user's code builds the model."""
        return is_code_name(self.model)

    @property
    def is_same_in_company(self) -> bool:
        """Return False for an ordinary module, whose lanes round differently in a stack."""
        return self.model == "mlp"

    @property
    def helpful_params(self) -> frozenset[str]:
        """Return the trainer's params that have an effect on this model with this loss."""
        built_in = set((_CNN if self.model == "cnn" else _BUILT_IN).table)
        names = set(PER_LANE_PARAMS) - {"init"} if self.has_own_model else built_in
        is_unsure = self.known_task is None or smoothing_fault(self.loss, self.known_task)
        return frozenset(names - {"label_smoothing"} if is_unsure else names)

    @classmethod
    def complete(cls, params: Params) -> dict[str, ParamValue]:
        return resolve(params)

    @property
    def own_defaults(self) -> Mapping[str, ParamValue]:
        table = CNN_PARAMS if self.model == "cnn" else {}
        return {name: param.default for name, param in table.items()}

    def written(self) -> Any:
        """Return the mapping without values that follow from the data, and without defaults."""
        dumped = self.model_dump(
            mode="json", exclude_none=True, exclude_defaults=True, exclude={"loss", "metrics"}
        )
        return {**dumped, **self._written_loss()}

    def identity(self) -> Any:
        return {
            "data": self.data.identity(),
            "split": self.split.identity(),
            "prepare": self.prepare.identity(),
            "model": self.model,  # the task belongs to the data's fingerprint
            **self._written_loss(),
            **({"augment": sorted(self.augment)} if self.augment else {}),
        }

    def _written_loss(self) -> dict[str, Any]:
        """Return loss and metrics as a study file writes them, without those of the task."""
        written: dict[str, Any] = {}
        if isinstance(self.loss, str):
            written["loss"] = self.loss
        elif self.loss is not None and not self.loss.is_default:
            written["loss"] = self.loss.written()
        if self.metrics is not None and not are_default_metrics(self.metrics):
            written["metrics"] = list(self.metrics)
        return written

    def n_steps(self, params: Params) -> int | None:
        return int(resolve(params)["epochs"] or 0)

    def structural_params(self, params: Params, space: SearchSpace) -> frozenset[str]:
        """Return those of the multilayer perceptron, or all searched ones of a user's model.

        A user's model may not take all of them; then lanes with other values may share a group as
        well, which the worker finds out.
        """
        if self.has_own_model:
            return frozenset(space) - set(PER_LANE_PARAMS)
        if self.model == "cnn":
            return _OF_CNN
        return _OF_MLP_AS_A_MODULE if _may_be_bfloat16(params, space) else _OF_MLP

    def preparation(self, params: Params, space: SearchSpace, folder: Path) -> dict[str, Any]:
        """Request the data, and the user's code with the params that it has to take."""
        own = {
            "folder": str(folder),
            "data": self.data.code_name,
            "model": self.model if self.has_own_model else None,
            "loss": self.loss if isinstance(self.loss, str) else None,
            "params": dict(params),
            "searched": list(space),
        }
        return {
            "data": self.data_request(folder),
            "own": own if self.code_names else None,
            "loss": self.loss.model_dump() if isinstance(self.loss, BuiltInLoss) else self.loss,
            "metrics": list(self.metrics or ()),
            "needs_images": self.model == "cnn" or bool(self.augment),
            "names": [*params, *space],
        }

    def look_request(self, folder: Path) -> dict[str, Any] | None:
        return self.data_request(folder) if self.local_names else None

    def baseline_request(
        self, params: Params, space: SearchSpace, folder: Path
    ) -> dict[str, Any] | None:
        return {**self.preparation(params, space, folder), "folder": str(folder)}

    def task_faults(self, task: str, names: Collection[str], metric: str) -> tuple[str, ...]:
        found = [task_fault(self.loss, self.metrics or (), Task(task))]
        if "label_smoothing" in names and (fault := smoothing_fault(self.loss, Task(task))):
            found.append(f"label_smoothing {fault}")
        if metric not in OBJECTIVES[Task(task)]:
            goals = listed(OBJECTIVES[Task(task)])
            found.append(f"the goal {metric} does not fit {task}; the trainer reports {goals}")
        return tuple(filter(None, found))

    @property
    def look_runs_code(self) -> bool:
        return self.data.code_name is not None

    def data_request(self, folder: Path) -> dict[str, Any]:
        """Return the data to prepare as JSON values; `identity` holds what makes them others."""
        identity = self.identity()
        return {
            "source": self.data.model_dump(mode="json"),
            "split": self.split.model_dump(mode="json"),
            "prepare": self.prepare.model_dump(mode="json"),
            "task": self.task,
            "identity": {name: identity[name] for name in ("data", "split", "prepare")},
            "folder": os.path.abspath(os.environ.get("TUNER_DATA") or folder),
            "code_folder": str(folder),
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
        section = read_section(item, Keys(allowed=_KEYS))
        if section is None:
            return None
        data = read_data(section["data"], folder) if "data" in section else None
        model = _read_model(section["model"], folder) if "model" in section else None
        loss = read_loss(section["loss"], folder) if "loss" in section else None
        metrics = read_metrics(section["metrics"]) if "metrics" in section else None
        for name, example in (("data", "data: {sklearn: digits}"), ("model", "model: mlp")):
            if name not in section and not has_refused_key(item, section):
                item.key_fault(f"`{name}:` is missing; add `{example}`")
        check_images(section, data, model)
        rules = read_rules(section, data)
        task = rules.get("task") or (data.task if data else None)
        if task is not None:
            check_task(section.get("loss"), section.get("metrics"), loss, metrics, task)
        _check_weight(section, data, loss)
        if data is None or model is None:
            return None
        return TrainerObjective(data=data, model=model, loss=loss, metrics=metrics, **rules)

    def check_params(
        self, objective: Objective | None, entries: Section, item: Item | None, folder: Path
    ) -> None:
        """Report a label smoothing that has no effect."""
        assert objective is None or isinstance(objective, TrainerObjective)
        if objective is None or "label_smoothing" not in entries:
            return
        if fault := smoothing_fault(objective.loss, objective.known_task):
            entries["label_smoothing"].key_fault(fault)

    def known_params(self, node: Node | None) -> KnownParams:
        entries = node.entries if isinstance(node, MapNode) else ()
        models = [value for key, value in entries if key.text == "model"]
        names = {model.text if isinstance(model, ScalarNode) else "" for model in models}
        if _has_unknown_key(node) or not names <= set(MODELS):
            return _OWN_MODEL
        return _CNN if "cnn" in names else _BUILT_IN

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

    def ranks_fault(self, objective: Objective | None, n_ranks: int) -> str:
        return (
            "is for a function or a command; the built-in trainer trains each trial in one process "
            "on one device, so remove it"
        )

    def code_nodes(self, node: Node) -> Sequence[Node]:
        entries = node.entries if isinstance(node, MapNode) else ()
        named = [value for key, value in entries if key.text in ("model", "loss")]
        sources = [value for key, value in entries if key.text == "data"]
        return named + [
            value
            for source in sources
            if isinstance(source, MapNode)
            for key, value in source.entries
            if key.text == PythonData.source
        ]

    def schema(self) -> Schema:
        return object_schema(
            {
                "data": data_schema(),
                "split": record_schema(SplitRule),
                "prepare": record_schema(PrepareRule),
                "task": {"enum": list(Task), "description": "only where the inferred one is wrong"},
                "model": {"anyOf": [{"enum": list(MODELS)}, callable_schema("net.py:cnn")]},
                "loss": loss_schema(),
                "metrics": metrics_schema(),
                "augment": {
                    "type": "array",
                    "items": {"enum": list(AUGMENTATIONS)},
                    "uniqueItems": True,
                    "description": "random changes of training images: mirrored, or moved by up to "
                    "an eighth of their size",
                },
            },
            ["data", "model"],
        )

    def sections(self) -> Sequence[tuple[Schema, Mapping[str, Schema]]]:
        own_model: Schema = {
            "type": "object",
            "properties": {"model": {"type": "string", "pattern": ":"}},
            "required": ["model"],
        }
        cnn: Schema = {
            "type": "object",
            "properties": {"model": {"const": "cnn"}},
            "required": ["model"],
        }
        return (
            (own_model, trainer_sections(_OWN_MODEL)),
            (cnn, trainer_sections(_CNN)),
            ({"type": "object"}, trainer_sections(_BUILT_IN)),
        )


def _check_weight(section: Section, data: AnyData | None, loss: object) -> None:
    """Report weights of rows that a loss of the user would ignore: it takes outputs and labels."""
    if isinstance(loss, str) and getattr(data, "weight", None) is not None:
        section["loss"].fault("takes no weights of rows; remove `weight:` from the data")


def _has_unknown_key(node: Node | None) -> bool:
    """Return whether a key is refused: then related values cannot be checked."""
    return isinstance(node, MapNode) and any(k.text not in _KEYS for k, _ in node.entries)


def _read_model(item: Item, folder: Path) -> str | None:
    """Read `mlp`, or a callable that builds a module, such as a class."""
    text = item.node.text if isinstance(item.node, ScalarNode) else ""
    if not is_code_name(text):
        return read_option(item, (*MODELS, "module:callable"), what="model")
    return read_callable(item, text, folder, _model_fault)


def _model_fault(node: Definition, name: str) -> str:
    """Return no fault: the callable may take any arguments, and gets those params that it names."""
    return async_fault(node, name, f"def {node.name}(n_features, n_outputs)")


def _known_goals(objective: TrainerObjective | None) -> dict[str, Direction]:
    """Return the metrics that can be optimized; all if the data is unknown."""
    known = objective.known_task if objective else None
    tasks = [known] if known else list(Task)
    return {name: direction for task in tasks for name, direction in OBJECTIVES[task].items()}


def _guess_of(metric: str, known: Mapping[str, Direction]) -> str:
    if f"val_{metric}" in known:
        return f"; did you mean val_{metric}?"
    is_of_another_task = any(metric in goals for goals in OBJECTIVES.values())
    guess = "" if is_of_another_task else did_you_mean(metric, known)
    return guess or f"; the trainer reports {listed(known)}"


def _metric_fault(metric: str, given: Direction, known: dict[str, Direction]) -> str:
    if metric == TRAINING_METRIC:
        return f"{metric} prunes and selects on training data; use val_loss"
    if metric not in known:
        return f"unknown metric {quote(metric)} for this data{_guess_of(metric, known)}"
    if known[metric] != given:
        return f"{metric} has the other direction; write `{known[metric]}: {metric}`"
    return ""
