"""Typed trainer settings of a lane's params."""

from dataclasses import dataclass, fields
from typing import Any

from tuner.study.trial import Params


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All parameters of the built-in trainer; defaults are in `study_file.trainer_params`."""

    learning_rate: float
    batch_size: int  # rows per step; the last batch of an epoch may be smaller
    n_layers: int  # hidden layers; 0 is a linear model
    width: int  # units of each hidden layer
    activation: str  # relu, tanh, gelu
    dropout: float  # probability that a hidden unit is zeroed, 0 <= p < 1
    optimizer: str  # sgd, adam, adamw, rmsprop
    momentum: float  # of sgd
    nesterov: bool  # of sgd with a momentum
    beta1: float  # of adam and adamw
    beta2: float
    weight_decay: float  # decoupled for adamw, L2 otherwise; on biases too, as in torch.optim
    l1: float  # factor of the sum of |weight|; biases are free
    schedule: str  # constant, cosine, step, one_cycle, plateau
    step_every: int  # epochs
    step_factor: float
    plateau_patience: int  # epochs
    plateau_factor: float
    warmup: float  # epochs
    clip_norm: float  # 0: off
    label_smoothing: float
    init: str  # torch, kaiming, xavier, orthogonal
    epochs: int
    patience: int  # epochs without a better value of the goal; 0: off


def settings_of(params: Params) -> Settings:
    """Return the typed view of params that are complete and valid."""
    values: dict[str, Any] = {
        field.name: _typed(field.type, params[field.name]) for field in fields(Settings)
    }
    return Settings(**values)


def _typed(kind: Any, value: Any) -> Any:
    # A float parameter may have been written as an integer ("dropout: 0").
    return float(value) if kind is float else value
