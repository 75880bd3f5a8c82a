"""A user's module as a group uses it: built without side effects, its tensors by name and kind."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from tuner.study.seeds import derive_seed
from tuner.study.trial import Params, ParamValue
from tuner.study_file.params.trainer_params import PER_LANE_PARAMS
from tuner.training.data.dataset import Dataset
from tuner.training.fatal_errors import ModelMistake
from tuner.training.layout import Layout, lay_out
from tuner.training.modules.addressed_dropout import AddressedDropout, key_name, replace_dropouts
from tuner.training.modules.generators import generators_kept, seed_generators

Build = Callable[..., torch.nn.Module]

_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of a callable that can be passed by name."""

    named: frozenset[str]
    takes_any: bool  # `**params`

    def of(self, params: Params) -> dict[str, ParamValue]:
        """Return the params that it takes.

        `**params` takes all that may shape a model, but not the learning rate and the like, which
        differ from lane to lane (`PER_LANE_PARAMS`): those must be named explicitly.
        """
        return {
            name: value
            for name, value in params.items()
            if name in self.named or (self.takes_any and name not in PER_LANE_PARAMS)
        }


def arguments_of(build: Build) -> Arguments:
    """Read the signature; a callable without one gets everything, and its call shows the error."""
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):
        return Arguments(named=frozenset(), takes_any=True)
    keywords = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return Arguments(
        named=frozenset(p.name for p in parameters if p.kind in keywords),
        takes_any=any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters),
    )


def build_module(build: Build, params: Params, data: Dataset, seed: int) -> torch.nn.Module:
    """Build a new module on the CPU, in the data's dtype, determined by `seed`.

    The global generators start from the seed while the user's code runs, and are restored
    afterwards. Raises `ModelMistake` if the result is no module, and errors of the user's code.
    """
    given = {"n_features": data.n_features, "n_outputs": data.n_outputs, **params}
    with torch.inference_mode(False), torch.enable_grad(), generators_kept(_CPU):
        seed_generators(derive_seed(seed, "initial", "module"), _CPU.type)
        module = build(**arguments_of(build).of(given))
        if not isinstance(module, torch.nn.Module):
            raise ModelMistake(
                f"the model's callable returned {type(module).__name__}; return a torch.nn.Module"
            )
        module = module.to(_CPU, data.train.like.dtype)
        if any(torch.nn.parameter.is_lazy(parameter) for parameter in module.parameters()):
            module.eval()(data.train.inputs(slice(2)).to(_CPU))  # lazy modules get their shapes
            module.train()
    return module


@dataclass(frozen=True, kw_only=True)
class Template:
    """One module of a kind, on the device of the data, and the layout of its tensors."""

    module: torch.nn.Module
    layout: Layout  # of the trained parameters
    dropouts: Mapping[str, AddressedDropout]  # ours, by their names in the module

    def begin_step(self) -> None:
        """Reset the counts of the dropout layers."""
        for dropout in self.dropouts.values():
            dropout.begin_step()

    @property
    def device(self) -> torch.device:
        parameters = (*self.module.parameters(), *self.module.buffers())
        return parameters[0].device if parameters else _CPU


def make_template(module: torch.nn.Module, device: torch.device) -> Template:
    """Return the module as a template with its dropout layers replaced."""
    trained = [(n, tuple(p.shape), p.dim() > 1) for n, p in _trained(module).items()]
    # weights first: a penalty on them reads one contiguous range
    layout = lay_out(sorted(trained, key=lambda part: not part[2]))
    with torch.inference_mode(False):
        dropouts = replace_dropouts(module)
        return Template(module=module.to(device), layout=layout, dropouts=dropouts)


def parameters_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the trained tensors by name."""
    return {name: parameter.detach() for name, parameter in _trained(module).items()}


def buffers_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the other tensors of a lane: buffers, and frozen parameters."""
    frozen = {n: p.detach() for n, p in module.named_parameters() if not p.requires_grad}
    keys = {
        key_name(name)
        for name, child in module.named_modules()
        if isinstance(child, AddressedDropout)
    }
    return frozen | {n: b.detach() for n, b in module.named_buffers() if n not in keys}


def _trained(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
