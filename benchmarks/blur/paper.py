"""The paper's set-ups as far as two cores allow: python benchmarks/blur/paper.py

1. Functions of the plane, two states: meta-trained in lives of 10 presentations on five
   functions, scored after 10 on those and on three others (test part).
2. Images, four states: meta-trained on digits averaged to 4x4 pixels with one hidden layer
   of 32, scored on 8x8 pixels and other bodies after 20, 50 and 100 presentations.

SGD beside it has, in each problem, the best of 14 rates on the validation part. All scores
are of 64 seeds. The table goes to docs/blur/paper.md.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks import bootstrap
from plasticgym.benchmarks._machine import machine

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "blur"
STEPS, SEEDS = 300, 64
RATES = np.round(10.0 ** (np.arange(-9, 5) / 2), 12)
PLANE = {
    "seen": ("Xor-v0", "And-v0", "Moons-v0", "Circle-v0", "Slice-v0"),
    "unseen": ("Blobs-v0", "Cross-v0", "Triangle-v0"),
}
BODIES = ((32,), (128,), (64, 32))


def main():
    pg.benchmarks.use_cache()
    here = machine()
    lines = [f"`python benchmarks/blur/paper.py`, {here.date}, {SEEDS} seeds, jax {here.jax}."]
    lines += ["", "| problem | presentations | BLUR | SGD, best rate |", "|---|---|---|---|"]
    lines += list(plane()) + list(images())
    (FOLDER / "paper.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def plane():
    """Rows for functions of the plane."""
    build = lambda name, **more: pg.envs.problem(name, presentations=10, **more)  # noqa: E731
    rule = trained([build(name, view="rotated") for name in PLANE["seen"]], states=2)
    for split, names in PLANE.items():
        for name in names:
            yield row(f"{name} ({split})", rule, build(name))


def images():
    """Rows for digits."""
    small = [pg.envs.digits(side=4, presentations=n) for n in (20, 50)]
    rule = trained(small, states=4)
    for presentations in (20, 50, 100):
        yield row("digits 4x4, (32)", rule, pg.envs.digits(side=4, presentations=presentations))
        for hidden in BODIES:
            problem = pg.envs.digits(hidden=hidden, presentations=presentations)
            yield row(f"digits 8x8, {hidden}", rule, problem)


def trained(problems, *, states):
    """A BLUR that was meta-trained on problems."""
    agent = pg.agents.MetaGradient(lives=8, draws=2, warmup=20, horizon=STEPS, rate=0.03)
    start = pg.rules.make("blur", genome="normalised", states=states)
    return pg.agents.train(agent, start, problems, generations=STEPS, seed=0).rule


def row(label, rule, problem):
    """One line of the table."""
    ours, theirs = last(rule, problem), last(tuned(problem), problem)
    cells = [label, str(problem.presentations)]
    for scores in (ours, theirs):
        low, high = bootstrap(lambda x: x.mean(-1), [scores], seed=0)
        cells.append(f"{scores.mean():.3f} ({low:.3f} to {high:.3f})")
    return "| " + " | ".join(cells) + " |"


def tuned(problem):
    """SGD with the rate that is best on the validation part."""
    at = lambda rate: eqx.tree_at(  # noqa: E731
        lambda rule: rule.rate, pg.rules.SGD(), jnp.asarray(rate, float)
    )
    return at(max(RATES, key=lambda r: last(at(r), problem, "validation", first=1000).mean()))


def last(rule, problem, part="test", first=2000):
    """Held-out scores at the end of lives."""
    keys = jax.vmap(jax.random.key)(jnp.arange(first, first + SEEDS))
    return np.asarray(pg.envs.lives(rule, problem, keys=keys, part=part).tests.score[:, -1])


if __name__ == "__main__":
    main()
