"""Chooses the genome of BLUR that ships: python benchmarks/blur/ship.py

Candidates are the genomes in docs/blur/genomes. The best one's worst problem is best (by
its median normalised score) among the seen and validation problems of `lite-v0` and the
seen ones in lives five times as long, all on the *validation* part, 32 seeds. It goes to
rules/genomes/blur.safetensors with these scores.
"""

from pathlib import Path

import plasticgym as pg
from plasticgym.benchmarks import Setting, Suite, evaluate, perfect

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "rules" / "genomes" / "blur.safetensors"
SPLITS, TIMES = ("seen", "validation"), 5


def main():
    pg.benchmarks.use_cache()
    files = {path.stem: path for path in sorted(ROOT.glob("docs/blur/genomes/blur-*"))}
    rules = {name: pg.rules.load_genome(path) for name, path in files.items()}
    found = scores(rules)
    for name, (worst, told) in found.items():
        print(f"{name}: worst {worst:.4f};", ", ".join(f"{k} {v:.4f}" for k, v in told.items()))
    best = max(found, key=lambda name: found[name][0])
    genome = pg.rules.read_genome(files[best])
    pg.rules.save_genome(
        SHIPPED,
        rules[best],
        name=genome.rule,
        options=genome.options,
        provenance={
            **genome.provenance,
            "chosen by": "python benchmarks/blur/ship.py",
            "worst validation median": round(found[best][0], 4),
            "validation scores (IQM)": {k: round(v, 4) for k, v in found[best][1].items()},
        },
    )
    print(f"{best} ships")


def scores(rules):
    """The worst median of each rule, and its interquartile means."""
    suite = pg.benchmarks.suite("lite-v0")
    longer = {}
    for name, setting in suite.seen.items():
        presentations = TIMES * setting.build().presentations
        options = {**setting.options, "presentations": presentations}
        longer[name] = Setting(setting.problem, options)
    long = Suite("long-v0", seen=longer, unseen={}, seeds=suite.seeds)
    reports = {
        "": evaluate(rules, suite, part="validation", splits=SPLITS),
        "longer ": evaluate(rules, long, part="validation", reference=perfect(long)),
    }
    found = {}
    for name in rules:
        told = {
            prefix + split: report.summary(name, split)
            for prefix, report in reports.items()
            for split in report.splits
            if split in report.suite.splits
        }
        worst = min(summary.worst_median for summary in told.values())
        found[name] = worst, {key: summary.iqm for key, summary in told.items()}
    return found


if __name__ == "__main__":
    main()
