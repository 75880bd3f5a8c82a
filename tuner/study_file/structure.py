"""Which params decide with whom a trial can train in one group."""

from tuner.study_file.model import Choice, FunctionObjective, StudySpec
from tuner.study_file.trainer_params import PER_LANE_PARAMS, resolve

# Depth is not among them: lanes of several depths share a group.
_OF_MLP = frozenset({"batch_size", "width", "activation", "precision"})
# In half precision the model is an ordinary module, whose lanes agree in everything.
_OF_MLP_AS_A_MODULE = _OF_MLP | {"n_layers", "dropout"}


def structural_params(spec: StudySpec) -> frozenset[str]:
    """Lanes that agree in these can share a group; empty where trials train alone.

    (Of a user's model that does not take all of them, lanes with other values may share one as
    well: the worker knows.)
    """
    if isinstance(spec.objective, FunctionObjective):
        return frozenset()
    if spec.objective.has_own_model:
        return frozenset(spec.search_space) - set(PER_LANE_PARAMS)
    return _OF_MLP_AS_A_MODULE if _may_be_bfloat16(spec) else _OF_MLP


def _may_be_bfloat16(spec: StudySpec) -> bool:
    searched = spec.search_space.get("precision")
    if isinstance(searched, Choice):
        return "bfloat16" in searched.choices
    return resolve(spec.params)["precision"] == "bfloat16"
