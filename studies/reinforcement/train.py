"""REINFORCE (Williams 1992) on CartPole, with episodes played side by side."""

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical


def train(trial):
    params, device = trial.params, trial.device
    env = gymnasium.make_vec("CartPole-v1", num_envs=params["episodes"])
    torch.manual_seed(trial.seed)
    policy = nn.Sequential(nn.Linear(4, params["width"]), nn.Tanh(), nn.Linear(params["width"], 2))
    policy.to(device)
    optimizer = torch.optim.Adam(policy.parameters(), lr=params["learning_rate"])
    first = 1
    state = trial.checkpoint.load()
    if state is not None:
        policy.load_state_dict(state["policy"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"] + 1
    for epoch in range(first, params["epochs"] + 1):
        seed = trial.seed + epoch  # of its own in each epoch: a resumed trial plays the same
        torch.manual_seed(seed)
        log_probs, entropies, is_alive = play(env, policy, seed % 2**31, device)
        advantages = normalize(returns_to_go(is_alive, params["discount"]), is_alive)
        gains = log_probs * advantages + params["entropy_bonus"] * entropies
        loss = -gains[is_alive].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean_return = is_alive.sum(0).float().mean()  # the reward is 1 for each step
        trial.report(step=epoch, mean_return=mean_return.item(), loss=loss.item())
        trial.checkpoint.save(
            {"policy": policy.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        )


def play(env, policy, seed, device):
    """Play one episode in each environment; return tensors of (step, episode)."""
    observations, _ = env.reset(seed=seed)
    is_alive, steps = np.ones(env.num_envs, dtype=bool), []
    while is_alive.any():  # an environment that has ended starts again, and is not counted
        actions = Categorical(logits=policy(torch.as_tensor(observations, device=device)))
        chosen = actions.sample()
        alive = torch.as_tensor(is_alive, device=device)
        steps.append((actions.log_prob(chosen), actions.entropy(), alive))
        observations, _, terminated, truncated, _ = env.step(chosen.cpu().numpy())
        is_alive = is_alive & ~(terminated | truncated)
    return [torch.stack(column) for column in zip(*steps, strict=True)]


def returns_to_go(is_alive, discount):
    returns, later = [], torch.zeros(is_alive.shape[1], device=is_alive.device)
    for alive in is_alive.flip(0):
        later = alive * (1 + discount * later)
        returns.append(later)
    return torch.stack(returns).flip(0)


def normalize(returns, is_alive):
    counted = returns[is_alive]
    return (returns - counted.mean()) / (counted.std() + 1e-8)
