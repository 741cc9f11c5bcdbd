"""Does PPO find good learning rates? python benchmarks/steering/ppo.py [--again]

PPO of Stable-Baselines3 sets the learning rate of SGD every few presentations; it sees
what `Steering` shows. In 200 fresh worlds, the same for all, each trained policy meets

- the reference: the rate that is frozen as `sgd*` of `race-v0`, which is action 0;
- the best constant action;
- the best schedule: a start from which the rate falls linearly to zero, or to the lowest
  rate that an action reaches;
- its own habit: at each time its mean action over these worlds, so that it sees nothing.

Constants and starts are the best of 41: all live in 200 worlds, the best five of them in
1,000, which are not the fresh ones. Return and score have a best one each, and each is
compared with its own. PPO is trained on the return alone.

Differences are paired by world; their intervals are of 95%, by a bootstrap over seeds and
worlds. Scores are those of the validation part; the test part stays shut. All returns and
scores go to docs/steering.json after each seed, and are measured if they are missing
there, or `--again`; docs/steering.png shows the actions. `--trials` shows, instead, what
other settings of PPO reach from another seed in the worlds of the constants.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import bootstrap_mean
from plasticgym.rules._atomic import write_atomically

DOCS = Path(__file__).resolve().parents[2] / "docs"
SETTING, REACH, LASTS = "digits-20", 2.0, 2
ENVS, CHOICES, FINALISTS = 200, 41, 5
CHOOSING, FRESH = range(100_000, 101_000), range(900_000, 900_200)
MEASURES = ("return", "score")
RIVALS = {
    "reference": "`sgd*`, the frozen reference rate",
    "constant": "the best constant action",
    "schedule": "the best linear schedule",
    "habit": "PPO's own mean actions, seeing nothing",
}
PPO = {
    "n_steps": 10,
    "batch_size": 500,
    "n_epochs": 10,
    "gamma": 1.0,
    "gae_lambda": 0.95,
    "learning_rate": 1e-2,  # falls to 0 while it trains
    "log_std_init": -1.0,
}
# Those that were tried, with steps, before this study; the first is the one above.
TRIALS = (
    ({}, 40_000),
    ({"learning_rate": 1e-3}, 30_000),
    ({"learning_rate": 3e-3}, 30_000),
    ({"learning_rate": 5e-3, "batch_size": 250}, 40_000),
)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    parser.add_argument("--steps", type=int, default=40_000, help="of PPO, for each seed")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--trials", action="store_true")
    parser.add_argument("--folder", type=Path, default=DOCS)
    given = parser.parse_args()
    pg.benchmarks.use_cache()
    if given.trials:
        trials()
        return
    path = given.folder / "steering.json"
    known = json.loads(path.read_text()) if path.is_file() and not given.again else {}
    told = measured(known, path, seeds=given.seeds, steps=given.steps)
    print("\n".join(table(told)))
    draw(told, given.folder / "steering.png")


def measured(told, path, *, seeds, steps):
    """What is missing is measured; all of it is stored as soon as it is known."""
    if told and (told["steps"], told["ppo"]) != (steps, PPO):
        raise SystemExit(f"{path} is of other steps or settings of PPO: run it `--again`.")
    envs = make()
    if not told:
        told = {
            "command": "python benchmarks/steering/ppo.py",
            **_here(),
            "setting": [SETTING, dict(_setting().options)],
            "reach": REACH,
            "presentations_per_action": LASTS,
            "rate": _rate(),
            "ppo": PPO,
            "steps": steps,
            "baselines": baselines(envs),
            "seeds": [],
        }
        _store(path, told)
    for seed in range(len(told["seeds"]), seeds):
        policy = trained(seed, steps)
        lived = live(envs, policy, FRESH)
        habit = live(envs, open_loop(lived["actions"].mean(1)), FRESH)
        told["seeds"].append({"policy": rounded(lived), "habit": rounded(habit)})
        _store(path, told)
        print(f"seed {seed}: {means(lived)}; habit: {means(habit)}", flush=True)
    return told


def make():
    """The environments; action 0 is the frozen reference rate."""
    return gymnasium.make_vec(
        f"plasticgym/{_setting().problem}",
        num_envs=ENVS,
        rule="sgd",
        rate=_rate(),
        reach=REACH,
        presentations_per_action=LASTS,
        **_setting().options,
    )


def trained(seed, steps, **changed):
    """A deterministic policy `(observations, time) -> actions` that PPO found."""
    import stable_baselines3 as sb3  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.vec_env import (  # pyright: ignore[reportMissingImports]
        VecMonitor,
    )

    torch.set_num_threads(1)
    settings = PPO | changed
    policy = {"net_arch": [32, 32], "log_std_init": settings.pop("log_std_init")}
    rate = settings.pop("learning_rate")
    envs = VecMonitor(pg.envs.to_sb3(make()))
    agent = sb3.PPO(
        "MlpPolicy",
        envs,
        learning_rate=lambda left: rate * left,
        policy_kwargs=policy,
        seed=1000 * (seed + 1),  # the environments take it and those that follow it
        device="cpu",
        **settings,
    )
    agent.learn(steps)
    return lambda seen, time: agent.predict(seen, deterministic=True)[0]


def open_loop(actions):
    """A policy that looks at nothing but the time."""
    return lambda seen, time: np.full((len(seen), 1), actions[time].item(), np.float32)


def constant(start, steps):
    """The same action throughout."""
    return np.full(steps, start)


def schedule(start, steps):
    """Actions under which the rate falls linearly from that of `start`."""
    left = 1 - np.arange(steps) / steps
    return np.clip(start + np.log(left) / REACH, -1, 1)


def live(envs, policy, tasks):
    """Return, last score and actions of shape `(steps, worlds)` in these worlds."""
    role = envs.unwrapped.role
    found = []
    for first in range(0, len(tasks), ENVS):
        seen, _ = envs.reset(options={"task": list(tasks[first : first + ENVS])})
        total, actions, infos = 0.0, [], {}
        for time in range(role.actions):
            actions.append(policy(seen, time))
            seen, rewards, _, _, infos = envs.step(actions[-1])
            total = total + rewards
        score = infos["final_info"]["score"]
        found.append((total, score, np.stack(actions)[..., 0]))
    returns, scores, actions = zip(*found, strict=True)
    lived = {"return": np.concatenate(returns), "score": np.concatenate(scores)}
    return {**lived, "actions": np.concatenate(actions, 1)}


def baselines(envs):
    """The reference, and the best constant and schedule for each measure."""
    steps = envs.unwrapped.role.actions
    reference = live(envs, open_loop(constant(0.0, steps)), FRESH)
    found = {"reference": {m: {**rounded(reference), "start": 0.0} for m in MEASURES}}
    for name, family in (("constant", constant), ("schedule", schedule)):
        starts = chosen(envs, family, steps)
        lived = {m: live(envs, open_loop(family(s, steps)), FRESH) for m, s in starts.items()}
        found[name] = {m: {**rounded(lived[m]), "start": starts[m]} for m in MEASURES}
        print(name, {m: (starts[m], means(lived[m])) for m in MEASURES}, flush=True)
    return found


def chosen(envs, family, steps):
    """The best start for each measure, in worlds that are not the fresh ones."""

    def values(start, tasks):
        lived = live(envs, open_loop(family(start, steps)), tasks)
        return {m: lived[m].mean() for m in MEASURES}

    grid = [float(start) for start in np.linspace(-1, 1, CHOICES).round(3)]
    first = {start: values(start, CHOOSING[:ENVS]) for start in grid}
    finalists = {
        start
        for m in MEASURES
        for start in sorted(grid, key=lambda start: -first[start][m])[:FINALISTS]
    }
    last = {start: values(start, CHOOSING) for start in finalists}
    return {m: max(last, key=lambda start: last[start][m]) for m in MEASURES}


def table(told):
    """One line for each rival: what it reached, and by how much PPO is ahead of it."""
    seeds = len(told["seeds"])
    yield f"`{told['command']}`, {told['date']}: {told['setting'][0]}, {seeds} seeds."
    yield ""
    yield "| | return | PPO is ahead by | score | PPO is ahead by |"
    yield "|---|---|---|---|---|"
    ours = {m: np.asarray([seed["policy"][m] for seed in told["seeds"]]) for m in MEASURES}
    yield f"| PPO | {ours['return'].mean():.3f} | | {ours['score'].mean():.4f} | |"
    for name, what in RIVALS.items():
        cells = [what]
        for m, digits in (("return", 3), ("score", 4)):
            theirs = rival(told, name, m)
            ahead = ours[m] - theirs
            low, high = (f"{end:+.{digits}f}" for end in bootstrap_mean(ahead, seed=0))
            won = f"{(ahead.mean(1) > 0).sum()} of {seeds} seeds"
            lead = f"{ahead.mean():+.{digits}f} ({low} to {high}), {won}"
            cells += [f"{theirs.mean():.{digits}f}", lead]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    actions = np.mean([seed["policy"]["action"] for seed in told["seeds"]], 0)
    spread = np.mean([seed["policy"]["spread"] for seed in told["seeds"]])
    rates = told["rate"] * np.exp(told["reach"] * actions)
    yield f"PPO's rates by time: {', '.join(f'{rate:.2f}' for rate in rates)}"
    yield f"sd of its actions over worlds, at a time: {spread:.3f}"


def rival(told, name, measure):
    """What a rival reached: shape `(worlds,)`, or that of the policies."""
    if name == "habit":
        return np.asarray([seed["habit"][measure] for seed in told["seeds"]])
    return np.asarray(told["baselines"][name][measure][measure])


def trials():
    """What other settings reach, from a seed and in worlds that are not those of the study."""
    envs = make()
    for changed, steps in TRIALS:
        lived = live(envs, trained(100, steps, **changed), CHOOSING[:ENVS])
        print(changed, steps, means(lived), flush=True)


def means(lived):
    """Mean return and score, in words."""
    return ", ".join(f"{m} {lived[m].mean():.4f}" for m in MEASURES)


def rounded(lived):
    """What is stored of lives: each return and score, and the actions by time."""
    return {
        **{m: [round(float(x), 4) for x in lived[m]] for m in MEASURES},
        "action": [round(float(x), 4) for x in lived["actions"].clip(-1, 1).mean(1)],
        "spread": [round(float(x), 4) for x in lived["actions"].clip(-1, 1).std(1)],
    }


def draw(told, path):
    """Actions by time: those of the policies, of the best constant and schedule."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    times = LASTS * np.arange(len(told["baselines"]["constant"]["return"]["action"]))
    for i, seed in enumerate(told["seeds"]):
        action, spread = (np.asarray(seed["policy"][k]) for k in ("action", "spread"))
        label = "PPO, each seed (band: sd over worlds)" if i == 0 else None
        axes.plot(times, action, color="#0072B2", lw=1, label=label)
        axes.fill_between(times, action - spread, action + spread, color="#0072B2", alpha=0.06)
    for name, colour in (("constant", "#D55E00"), ("schedule", "#009E73")):
        action = told["baselines"][name]["return"]["action"]
        axes.plot(times, action, "--", color=colour, lw=2, label=f"best {name}")
    axes.axhline(0, color="#666666", ls=":", label="reference")
    axes.set_xlabel("presentations")
    axes.set_ylabel(f"action: log(rate / reference) / {told['reach']:g}")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=100)


def _setting():
    return pg.benchmarks.suite("race-v0").seen[SETTING]


def _rate():
    rule: Any = pg.benchmarks.tuned(pg.benchmarks.suite("race-v0"), "sgd")[SETTING]
    return float(rule.rate)


def _here():
    import stable_baselines3  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    here = machine()._asdict()
    versions = {"stable-baselines3": stable_baselines3.__version__, "torch": torch.__version__}
    return {**here, "versions": here["versions"] | versions}


def _store(path, told):
    write_atomically(path, (json.dumps(told) + "\n").encode())


if __name__ == "__main__":
    main()
