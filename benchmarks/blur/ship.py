"""Chooses the genome of BLUR that ships: python benchmarks/blur/ship.py

Of those in docs/blur/genomes, the one whose worst problem is best (its median normalised
score), on the *validation* part of the seen and validation problems of `lite-v0`, 32
seeds. It goes to rules/genomes/blur.safetensors with these scores.
"""

from pathlib import Path

import plasticgym as pg

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "rules" / "genomes" / "blur.safetensors"
SPLITS = ("seen", "validation")


def main():
    pg.benchmarks.use_cache()
    files = {path.stem: path for path in sorted(ROOT.glob("docs/blur/genomes/blur-*"))}
    rules = {name: pg.rules.load_genome(path) for name, path in files.items()}
    suite = pg.benchmarks.suite("lite-v0")
    report = pg.benchmarks.evaluate(rules, suite, part="validation", splits=SPLITS)
    found = {name: {s: report.summary(name, s) for s in SPLITS} for name in rules}
    worst = {n: min(summary.worst_median for summary in found[n].values()) for n in found}
    for name, summaries in found.items():
        figures = ", ".join(f"{s} {x.iqm:.4f}" for s, x in summaries.items())
        print(f"{name}: worst {worst[name]:.4f}; IQM: {figures}")
    best = max(worst, key=lambda name: worst[name])
    genome = pg.rules.read_genome(files[best])
    scores = {
        s: {"iqm": round(x.iqm, 4), "mean": round(x.mean, 4)} for s, x in found[best].items()
    }
    pg.rules.save_genome(
        SHIPPED,
        rules[best],
        name=genome.rule,
        options=genome.options,
        provenance={
            **genome.provenance,
            "chosen by": "python benchmarks/blur/ship.py",
            "worst validation median": round(worst[best], 4),
            "normalised validation scores": scores,
        },
    )
    print(f"{best} ships")


if __name__ == "__main__":
    main()
