"""Which params decide with whom a trial can train in one group."""

from tuner.study_file.model import FunctionObjective, StudySpec, TrainerObjective

# Depth is not among them: lanes of several depths share a group.
_OF_MLP = frozenset({"batch_size", "width", "activation"})


def structural_params(spec: StudySpec) -> frozenset[str]:
    """Lanes that agree in these can share a group; empty where trials train alone."""
    match spec.objective:
        case TrainerObjective():
            return _OF_MLP
        case FunctionObjective():
            return frozenset()
