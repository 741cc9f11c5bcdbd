"""Is a trained BLUR ahead of gradient descent? python benchmarks/blur/headline.py

On `race-v0` (seen and unseen problems in lives of 20 and 50 presentations, 100 seeds, the
test part) every BLUR in docs/blur/genomes meets, in the same worlds, SGD, momentum and
Adam with the rates that are best in each setting, and every SGD and Adam that was
meta-trained on the same body, problems and number of lives. In each setting and for each
of two scores (the stream area and the last held-out score) it is compared with the
strongest of them, the one with the highest mean on the very seeds that are compared,
which favours them. Differences are paired by seed; intervals are of 95%, by a bootstrap
over seeds and over meta-trainings.

All scores go to docs/blur/race-v0.json, the table to docs/blur/headline.md.
"""

from pathlib import Path

import numpy as np

import plasticgym as pg
from plasticgym.benchmarks import entry, evaluate
from plasticgym.benchmarks._machine import machine

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "blur"
TUNED = ("sgd*", "momentum*", "adam*")
SCORES = ("stream_area", "last")
RESAMPLES = 2000


def main():
    pg.benchmarks.use_cache()
    suite = pg.benchmarks.suite("race-v0")
    found = {
        path.stem: entry(str(path)) for path in sorted(FOLDER.glob("genomes/*metagradient*"))
    }
    entries = found | {name: entry(name, suite) for name in TUNED}
    report = evaluate(entries, suite, on_progress=lambda *done: print(*done, flush=True))
    report.save(FOLDER / "race-v0.json")
    blurs = [name for name in entries if name.startswith("blur")]
    rivals = [name for name in entries if name not in blurs]
    text = "\n".join(table(report, blurs, rivals))
    (FOLDER / "headline.md").write_text(text + "\n")
    print(text)


def table(report, blurs, rivals):
    """The lines of the table, one per setting and score."""
    here = machine()
    yield (
        f"`python benchmarks/blur/headline.py`, {here.date}, {len(report.seeds)} seeds, "
        f"{len(blurs)} meta-trainings of BLUR; jax {here.jax}."
    )
    yield ""
    yield "| problem | score | BLUR | strongest baseline | its score | difference |"
    yield "|---|---|---|---|---|---|"
    for split, settings in report.suite.splits.items():
        for setting in settings:
            for score in SCORES:
                values = {
                    name: getattr(report.results[name][setting], score)
                    for name in [*blurs, *rivals]
                }
                best = max(rivals, key=lambda name: values[name].mean())
                differences = np.stack([values[name] - values[best] for name in blurs])
                low, high = interval(differences)
                ours = np.mean([values[name].mean() for name in blurs])
                mark, what = "**" if low > 0 else "", score.replace("_", " ")
                yield (
                    f"| {setting} ({split}) | {what} | {ours:.3f} | {best} | "
                    f"{values[best].mean():.3f} | {mark}{differences.mean():+.3f}{mark} "
                    f"({low:+.3f} to {high:+.3f}) |"
                )


def interval(differences):
    """95% of the mean of `(trainings, seeds)`, both resampled with replacement."""
    rng = np.random.default_rng(0)
    trainings, seeds = differences.shape
    rows = rng.integers(0, trainings, (RESAMPLES, trainings))
    columns = rng.integers(0, seeds, (RESAMPLES, seeds))
    means = [differences[np.ix_(r, c)].mean() for r, c in zip(rows, columns, strict=True)]
    return np.quantile(means, [0.025, 0.975])


if __name__ == "__main__":
    main()
