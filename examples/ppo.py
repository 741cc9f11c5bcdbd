"""PPO in one file: learns to steer the learning rate of a network while it learns.

Proximal policy optimisation (Schulman et al., 2017) in PyTorch, on many lives at once.
An action sets the genome of SGD for the next presentations; the reward is how much the
loss of the network fell. Run it with `python ppo.py`; `python ppo.py --help` lists what
can be set. Needs `pip install plasticgym torch`.
"""

import argparse
import dataclasses
import time

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Normal

import plasticgym

gymnasium.register_envs(plasticgym)


@dataclasses.dataclass
class Settings:
    """What can be set on the command line."""

    problem: str = "Xor-v0"
    rule: str = "sgd"
    presentations_per_action: int = 5
    seed: int = 0
    num_envs: int = 64
    total_steps: int = 60_000
    num_steps: int = 20  # of each environment between two updates
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 1e-3
    gamma: float = 1.0  # the return of a life is what counts, and a life is short
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.0
    value: float = 0.5
    max_grad_norm: float = 0.5


def layer(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """A linear layer with orthogonal weights of a given size and no bias to begin with."""
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


class Agent(nn.Module):
    """A Gaussian policy, and the value of what it sees."""

    def __init__(self, seen: int, acted: int):
        super().__init__()
        wide = 2**0.5
        self.critic = nn.Sequential(
            layer(seen, 64, wide), nn.Tanh(), layer(64, 64, wide), nn.Tanh(), layer(64, 1, 1.0)
        )
        self.actor = nn.Sequential(
            layer(seen, 64, wide),
            nn.Tanh(),
            layer(64, 64, wide),
            nn.Tanh(),
            layer(64, acted, 0.01),
        )
        self.log_std = nn.Parameter(torch.full((acted,), -1.0))

    def policy(self, seen: torch.Tensor) -> Normal:
        mean = self.actor(seen)
        return Normal(mean, self.log_std.exp().expand_as(mean))


def returns_of(envs: gymnasium.vector.VectorEnv, act, seed: int) -> tuple[float, float]:
    """The mean return and score of a life in each environment."""
    seen, _ = envs.reset(seed=seed)
    total, ended = np.zeros(envs.num_envs), np.zeros(envs.num_envs, bool)
    while not ended.all():  # all lives are as long
        seen, reward, ended, _, infos = envs.step(act(seen))
        total += reward
    return float(total.mean()), float(infos["final_info"]["score"].mean())


def advantages_of(rewards, values, over, last_value, settings: Settings) -> torch.Tensor:
    """Generalised advantages (Schulman et al., 2015); a life that is over has no future."""
    advantages, following = torch.zeros_like(rewards), torch.zeros_like(last_value)
    for t in reversed(range(len(rewards))):
        next_value = values[t + 1] if t + 1 < len(values) else last_value
        goes_on = 1.0 - over[t]
        surprise = rewards[t] + settings.gamma * next_value * goes_on - values[t]
        following = surprise + settings.gamma * settings.gae_lambda * goes_on * following
        advantages[t] = following
    return advantages


def collect(envs, agent: Agent, seen: torch.Tensor, settings: Settings):
    """What happened in the next steps, each a tensor that leads with steps, environments."""
    kept = {name: [] for name in ("seen", "action", "log_prob", "value", "reward", "over")}
    for _ in range(settings.num_steps):
        with torch.no_grad():
            policy, value = agent.policy(seen), agent.critic(seen).squeeze(-1)
            action = policy.sample()
        # The environment clips the action to [-1, 1]; the policy keeps what it drew.
        following, reward, over, _, _ = envs.step(action.numpy())
        row = {
            "seen": seen,
            "action": action,
            "log_prob": policy.log_prob(action).sum(-1),
            "value": value,
            "reward": torch.as_tensor(reward, dtype=torch.float32),
            "over": torch.as_tensor(over, dtype=torch.float32),
        }
        for name, tensor in row.items():
            kept[name].append(tensor)
        seen = torch.as_tensor(following)
    return {name: torch.stack(rows) for name, rows in kept.items()}, seen


def update(agent: Agent, optimizer, batch: dict[str, torch.Tensor], settings: Settings) -> None:
    """Some epochs of the clipped objective on what happened."""
    size = len(batch["value"])
    for _ in range(settings.epochs):
        for rows in torch.randperm(size).chunk(settings.minibatches):
            part = {name: tensor[rows] for name, tensor in batch.items()}
            policy = agent.policy(part["seen"])
            ratio = (policy.log_prob(part["action"]).sum(-1) - part["log_prob"]).exp()
            advantage = part["advantage"]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
            gain = torch.min(ratio * advantage, clipped * advantage).mean()
            error = (agent.critic(part["seen"]).squeeze(-1) - part["return"]).square().mean()
            entropy = policy.entropy().sum(-1).mean()
            loss = settings.value * error - gain - settings.entropy * entropy
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), settings.max_grad_norm)
            optimizer.step()


def train(settings: Settings) -> dict[str, float]:
    """Trains an agent; returns its mean return and score in fresh worlds, and SGD's own."""
    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)  # the networks are small: threads would wait for each other
    envs = gymnasium.make_vec(
        f"plasticgym/{settings.problem}",
        num_envs=settings.num_envs,
        rule=settings.rule,
        presentations_per_action=settings.presentations_per_action,
    )
    shape = envs.single_action_space.shape
    agent = Agent(envs.single_observation_space.shape[0], shape[0])
    optimizer = torch.optim.Adam(agent.parameters(), settings.learning_rate, eps=1e-5)
    seen = torch.as_tensor(envs.reset(seed=settings.seed)[0])
    updates = max(1, settings.total_steps // (settings.num_steps * settings.num_envs))
    start = time.time()
    for i in range(updates):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - i / updates)
        batch, seen = collect(envs, agent, seen, settings)
        with torch.no_grad():
            last_value = agent.critic(seen).squeeze(-1)
        batch["advantage"] = advantages_of(
            batch["reward"], batch["value"], batch["over"], last_value, settings
        )
        batch["return"] = batch["advantage"] + batch["value"]
        update(agent, optimizer, {n: t.flatten(0, 1) for n, t in batch.items()}, settings)
        if i % max(1, updates // 10) == 0 or i == updates - 1:
            lives = max(1.0, batch["over"].sum().item())
            steps = (i + 1) * settings.num_steps * settings.num_envs
            print(
                f"{steps:8d} steps  {steps / (time.time() - start):8.0f} steps/s  "
                f"return of a life {batch['reward'].sum().item() / lives:6.3f}"
            )

    def steered(seen: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return agent.actor(torch.as_tensor(seen)).numpy()

    fresh = settings.seed + 1_000_000
    frozen = np.zeros((settings.num_envs, *shape), np.float32)
    result = dict(zip(("return", "score"), returns_of(envs, steered, fresh), strict=True))
    default = returns_of(envs, lambda _: frozen, fresh)
    result.update(zip(("default return", "default score"), default, strict=True))
    envs.close()
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for field in dataclasses.fields(Settings):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default, help=" ")
    for name, value in train(Settings(**vars(parser.parse_args()))).items():
        print(f"{name:>14s}: {value:.3f}")
