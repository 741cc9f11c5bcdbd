"""Networks of few weights: python benchmarks/paths/sparsify.py

A 64-100-50-10 network learns digits for 800 presentations of 64 rows (Adam). Its rate is
chosen by what it scores then, with all weights, on the *validation* part over four seeds; so
all methods begin with the same networks. These are pruned there (one-shot magnitude pruning)
or meet inputs alone for 800 more presentations, on which four rules live:

- `FixedMask` prunes at the boundary and is taught what is left by the network as it was
  (distillation);
- `GradualMask`, of this file, has the same mask and gets there as slowly as the walk;
- `SparsePull` is the walk, which judges again at every step what is small: told by the old
  network about all inputs that come, and, as in the paper, about 50 stored ones only.

Each gets seven rates of Adam for that, of which one is chosen at 90% sparsity by the mean
score on the *validation* part over the same four seeds. Ten others are scored on the *test*
part.

Writes docs/paths/sparsify.json, sparsify.md and sparsify.png.
"""

import json
from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.envs._lifetime import examine
from plasticgym.rules._atomic import write_atomically

HIDDEN, BATCH, DENSE, WALK = (100, 50), 64, 800, 800
SPARSITIES, CHOSEN_AT, NOTHING = (0.5, 0.7, 0.8, 0.9, 0.95), 0.9, 1e-6
RATES = (0.0003, 0.001, 0.002, 0.004, 0.008, 0.016, 0.03)
TUNED_ON, SEEDS = range(100, 104), range(7100, 7110)
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "paths"


@final
class GradualMask(pg.rules.AbstractDirection):
    """The mask of `FixedMask`, with the schedule of `SparsePull`."""

    mask: pg.rules.FixedMask
    steps: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    @property
    def sparsity(self):
        return self.mask.sparsity

    def init(self, weights):
        return self.mask.init(weights)

    def remember(self, kept, weights, *, body, key):
        return self.mask.remember(kept, weights, body=body, key=key)

    def step(self, before, after, kept, *, clock, body):
        masked = self.mask.step(before, after, kept, clock=clock, body=body)
        share = jnp.minimum((clock.time.astype(float) + 1.0) / self.steps, 1.0)
        lost = jnp.where(clock.ended > 0, share**2, 0.0)
        return tuple(w + lost * (m - w) for w, m in zip(after, masked, strict=True))


def walk(direction):
    return pg.rules.InvariantWalk(pg.rules.Adam(), direction)


PULL, MASK = pg.rules.SparsePull(steps=WALK), pg.rules.FixedMask()
METHODS = {
    "one-shot, distilled": walk(MASK),
    "gradual, distilled": walk(GradualMask(MASK, float(WALK))),
    "invariant walk": walk(PULL),
    "walk, 50 anchors": pg.rules.InvariantPath(pg.rules.Adam(), direction=PULL),
}


def main():
    pg.benchmarks.use_cache()
    plain, dense = pg.rules.Adam(), jnp.asarray([NOTHING])
    found = [pruned(plain, r, TUNED_ON, dense, "validation").mean() for r in RATES]
    begun = RATES[int(np.argmax(found))]
    print("with all weights:", dict(zip(RATES, found, strict=True)), flush=True)
    tried = {name: validated(name, begun) for name in METHODS}
    rates = {name: max(of, key=lambda rate: of[rate]) for name, of in tried.items()}
    scores = {"one-shot pruning": pruned(plain, begun, SEEDS, jnp.asarray(SPARSITIES), "test")}
    scores |= {name: at_all(name, begun, rate) for name, rate in rates.items()}
    dense = pruned(plain, begun, SEEDS, dense, "test")[:, 0]
    report = {
        "command": "python benchmarks/paths/sparsify.py",
        "machine": machine()._asdict(),
        "tuned on": {"part": "validation", "seeds": list(TUNED_ON), "sparsity": CHOSEN_AT},
        "dense tried": dict(zip(map(str, RATES), map(float, found), strict=True)),
        "dense rate": begun,
        "tried": tried,
        "rates": rates,
        "seeds": list(SEEDS),
        "sparsities": list(SPARSITIES),
        "dense": dense.tolist(),
        "scores": {name: of.tolist() for name, of in scores.items()},
    }
    text = json.dumps(report, allow_nan=False) + "\n"
    write_atomically(FOLDER / "sparsify.json", text.encode())
    write_atomically(FOLDER / "sparsify.md", page(dense, scores, begun, rates).encode())
    draw(dense, scores)


def validated(name, begun):
    """Mean validation scores by rate, at one sparsity."""
    rates = jnp.asarray(RATES)
    sparsities = jnp.full_like(rates, CHOSEN_AT)
    found = walked(METHODS[name], begun, TUNED_ON, rates, sparsities, "validation").mean(0)
    tried = dict(zip(RATES, map(float, found), strict=True))
    print(f"{name}:", tried, flush=True)
    return tried


def at_all(name, begun, rate):
    """Test scores, shape `(seeds, sparsities)`."""
    sparsities = jnp.asarray(SPARSITIES)
    rates = jnp.full_like(sparsities, rate)
    found = walked(METHODS[name], begun, SEEDS, rates, sparsities, "test")
    print(f"{name}, {rate}:", *map(told, found.T), flush=True)
    return found


def thinning():
    sizes = {"hidden": HIDDEN, "batch": BATCH, "presentations": DENSE + WALK}
    return pg.envs.Sparsify(pg.envs.digits(**sizes), CHOSEN_AT, dense=DENSE)


def pruned(rule, rate, seeds, sparsities, part):
    """Scores of networks that learned and do not walk, shape `(seeds, sparsities)`."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    found = _pruned(rule, thinning(), jnp.asarray(rate, float), sparsities, keys, part)
    return np.asarray(found)


@eqx.filter_jit
def _pruned(rule, problem, rate, sparsities, keys, part):
    mine = eqx.tree_at(lambda r: r.rate, rule, rate)

    def life(key):
        begun = pg.envs.born(mine, problem, key=key)
        learned = went_on(mine, problem, begun, DENSE)
        at = lambda s: scored(mine, asking(problem, s), learned, part)  # noqa: E731
        return jax.vmap(at)(sparsities)

    return jax.vmap(life)(keys)


def walked(rule, begun, seeds, rates, sparsities, part):
    """Scores at the ends of walks from the same networks, shape `(seeds, walks)`."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    begun = jnp.asarray(begun, float)
    return np.asarray(_walked(rule, thinning(), begun, rates, sparsities, keys, part))


@eqx.filter_jit
def _walked(rule, problem, begun, rates, sparsities, keys, part):
    def life(key):
        dense = eqx.tree_at(lambda r: r.rule.rate, rule, begun)
        learned = went_on(dense, problem, pg.envs.born(dense, problem, key=key), DENSE - 1)

        def thin(rate, sparsity):
            asked = asking(problem, sparsity)
            mine = eqx.tree_at(sparsity_of, dense, sparsity)
            ended, _ = pg.envs.step(mine, asked, learned)  # the boundary
            mine = eqx.tree_at(lambda r: r.rule.rate, mine, rate)
            return scored(mine, asked, went_on(mine, asked, ended, WALK), part)

        return jax.vmap(thin)(rates, sparsities)

    return jax.vmap(life)(keys)


def went_on(rule, problem, life, presentations):
    go = lambda life, _: (pg.envs.step(rule, problem, life)[0], None)  # noqa: E731
    return jax.lax.scan(go, life, length=presentations)[0]


def sparsity_of(rule):
    return rule.direction.sparsity


def asking(problem, sparsity):
    return eqx.tree_at(lambda p: p.sparsity, problem, sparsity)


def scored(rule, problem, life, part):
    return examine(rule, problem, life, part=part)[0].score


def told(values):
    """Mean and 95% interval, in percent."""
    return f"{100 * values.mean():.1f} ± {100 * half_width(values):.1f}"


def page(dense, scores, begun, rates):
    head = ["weights lost", *(f"{p:.0%}" for p in SPARSITIES)]
    ours = scores["invariant walk"]
    rows = [[name, *map(told, found.T)] for name, found in scores.items()]
    for name in ("one-shot, distilled", "gradual, distilled"):
        rows.append([f"walk - {name}", *map(told, (ours - scores[name]).T)])
    rows.append(["walk - all weights", *map(told, (ours - dense[:, None]).T)])
    lines = [head, ["---"] * len(head), *rows]
    found = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
    note = (
        f"Balanced accuracy on the test part in percent, mean ± 95% interval (Student's t) "
        f"over {len(SEEDS)} seeds; all weights: {told(dense)}. Rates chosen: "
        f"to learn {begun:g}, {found}. "
        f"`python benchmarks/paths/sparsify.py`; {machine()}."
    )
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", note, ""])


def draw(dense, scores):
    figure = Figure(figsize=(6.4, 3.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    places = [100 * p for p in SPARSITIES]
    panel.axhline(100 * dense.mean(), color="0.6", lw=1, label="all weights")
    for name, found in scores.items():
        mean, half = 100 * found.mean(0), 100 * half_width(found)
        panel.errorbar(places, mean, half, marker="o", ms=4, capsize=3, label=name)
    panel.set_xlabel("weights lost (%)")
    panel.set_ylabel("test accuracy (%)")
    panel.legend(frameon=False)
    figure.savefig(FOLDER / "sparsify.png")


if __name__ == "__main__":
    main()
