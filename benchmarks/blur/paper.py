"""The paper's set-ups as far as two cores allow: python benchmarks/blur/paper.py

1. Functions of the plane, two states: meta-trained in lives of 10 presentations on five
   functions, scored after 10 on those and on three others.
2. Images, four states: meta-trained on digits averaged to 4x4 pixels with one hidden layer
   of 32, scored on 4x4 and 8x8 pixels and other bodies after 20, 50 and 100 presentations.

SGD beside it has, in each problem, the best of 14 rates and more on the validation part.
Scores are of the test part and 64 seeds, with 95% intervals (Student's t). The table goes
to docs/blur/paper.md.
"""

from pathlib import Path

import plasticgym as pg
from plasticgym.benchmarks import Entry, Setting, Suite, evaluate, perfect
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._rates import best, last_scores, search, with_rate
from plasticgym.benchmarks._statistics import half_width

ROOT = Path(__file__).resolve().parents[2]

STEPS, TUNING_SEEDS, SEEDS = 300, tuple(range(32)), tuple(range(6000, 6064))
LEARNT = ("xor", "and", "moons", "circle", "slice")
BODIES = ((32,), (128,), (64, 32))


def main():
    pg.benchmarks.use_cache()
    here = machine()
    lines = [f"`python benchmarks/blur/paper.py`, {here.date}, {len(SEEDS)} seeds.", ""]
    lines += ["| problem | presentations | BLUR | SGD, best rate |", "|---|---|---|---|"]
    plane = {name: Setting(f"{name.capitalize()}-v0", {"presentations": 10}) for name in LEARNT}
    others = {
        name: Setting(f"{name.capitalize()}-v0", {"presentations": 10})
        for name in ("blobs", "cross", "triangle")
    }
    turned = [pg.envs.plane(name, presentations=10, view="rotated") for name in LEARNT]
    lines += rows(trained(turned, states=2), Suite("plane-v0", plane, others, SEEDS))
    small = {f"digits 4x4, (32), {n}": digits(4, (32,), n) for n in (20, 50, 100)}
    large = {f"digits 8x8, {h}, {n}": digits(8, h, n) for h in BODIES for n in (20, 50, 100)}
    images = trained([small[f"digits 4x4, (32), {n}"].build() for n in (20, 50)], states=4)
    lines += rows(images, Suite("images-v0", small, large, SEEDS))
    (ROOT / "docs" / "blur" / "paper.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def digits(side, hidden, presentations):
    """Images of so many pixels a side."""
    options = {"side": side, "hidden": hidden, "presentations": presentations}
    return Setting("Digits-v0", options)


def trained(problems, *, states):
    """A BLUR that was meta-trained on problems."""
    agent = pg.agents.MetaGradient(lives=8, draws=2, warmup=20, horizon=STEPS, rate=0.03)
    start = pg.rules.make("blur", genome="normalised", states=states)
    return pg.agents.train(agent, start, problems, generations=STEPS, seed=0).rule


def rows(rule, suite):
    """A line of the table for each setting."""
    rivals = {name: tuned(suite.problem(name)) for name in suite.settings}
    entries = {"blur": rule, "sgd": Entry("sgd", rivals)}
    results = evaluate(entries, suite, reference=perfect(suite)).results
    for split, settings in suite.splits.items():
        for name in settings:
            found = [results[who][name] for who in entries]
            cells = [f"{r.last.mean():.3f} ± {half_width(r.last):.3f}" for r in found]
            yield f"| {name} ({split}) | {found[0].times[-1]} | {' | '.join(cells)} |"


def tuned(problem):
    """SGD with the rate that is best on the validation part."""
    tried, _ = search(
        lambda rates: last_scores(pg.rules.SGD(), rates, problem, seeds=TUNING_SEEDS)
    )
    return with_rate(pg.rules.SGD(), best(tried))


if __name__ == "__main__":
    main()
