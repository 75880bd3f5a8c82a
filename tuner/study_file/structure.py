"""Which searched parameters decide with whom a trial can be trained as one stacked model."""

from tuner.study_file.model import Choice, FunctionObjective, StudySpec
from tuner.study_file.trainer_params import PER_LANE_PARAMS, resolve

_OF_THE_MLP = ("batch_size", "width", "activation", "precision")
# In half precision the model is an ordinary module, whose lanes agree in everything.
_OF_THE_MLP_AS_A_MODULE = (*_OF_THE_MLP, "n_layers", "dropout")


def structural_params(spec: StudySpec) -> tuple[str, ...]:
    """Their names, in the order of the search space; none where nothing is ever fused.

    Trials with equal values of these fit into one stack. (Of a user's model that does not take
    all of them, trials with other values may fit as well: the worker knows.)
    """
    if isinstance(spec.objective, FunctionObjective):
        return ()
    if spec.objective.has_own_model:
        return tuple(name for name in spec.search_space if name not in PER_LANE_PARAMS)
    of_the_mlp = _OF_THE_MLP_AS_A_MODULE if _may_be_bfloat16(spec) else _OF_THE_MLP
    return tuple(name for name in spec.search_space if name in of_the_mlp)


def _may_be_bfloat16(spec: StudySpec) -> bool:
    searched = spec.search_space.get("precision")
    if isinstance(searched, Choice):
        return "bfloat16" in searched.choices
    return resolve(spec.params)["precision"] == "bfloat16"
