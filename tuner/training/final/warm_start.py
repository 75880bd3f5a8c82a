"""A training that starts from existing weights. K lanes, D parameters of a lane."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch

from tuner.study.trial import Params
from tuner.training.checkpoint_file import BadCheckpoint
from tuner.training.groups.group import Group
from tuner.training.lane import DetachedLane
from tuner.training.model import Model


@torch.no_grad()
def warm_state(
    model: Model, params: Params, seed: int, like: torch.Tensor, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a lane's state before its first epoch, with the weights and buffers of `given`.

    Its optimizer is a new one. Raises `BadCheckpoint` if they belong to another model.
    """
    state = deepcopy(Group(model, [DetachedLane(params, seed)], like).state(0))
    for kind in ("weights", "buffers"):
        for name, tensor in state[kind].items():
            weight = given[kind].get(name)
            if not isinstance(weight, torch.Tensor) or weight.shape != tensor.shape:
                raise BadCheckpoint(f"the weights are of another model: {name} does not fit")
            tensor.copy_(weight)
            state["best"][kind][name].copy_(weight)
    return state
