"""Is a trained BLUR ahead of gradient descent? python benchmarks/blur/headline.py [--again]

On `race-v0` (seen and unseen problems in lives of 20 and 50 presentations, 100 seeds, the
test part) every BLUR in docs/blur/genomes meets, in the same worlds, SGD, momentum and
Adam with the rates that are best in each setting for each of two scores (the stream area
and the last held-out score), and every SGD and Adam that was meta-trained on the same
body, problems and number of lives. In each setting and for each score it is compared with
the strongest of them, the one with the highest mean on the very seeds that are compared,
which favours them.

Differences are paired by seed; their intervals are of 95%, by a bootstrap over seeds and
meta-trainings. Rows of all settings together show Student's t over the meta-trainings.
All scores go to docs/blur/race-v0.json, from which the table in docs/blur/headline.md is
made; they are measured if that file is missing, or `--again`.
"""

import argparse
import json
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

import plasticgym as pg
from plasticgym.benchmarks import Entry, entry, evaluate, tuned
from plasticgym.benchmarks._statistics import bootstrap_mean
from plasticgym.rules._atomic import write_atomically

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "blur"
SCORES: dict[Literal["stream_area", "last"], str] = {
    "stream_area": "stream area",
    "last": "last",
}
LEAST = 3


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--again", action="store_true")
    path = FOLDER / "race-v0.json"
    if parser.parse_args().again or not path.is_file():
        measure(path)
    told = json.loads(path.read_text())
    lines = [
        f"`python benchmarks/blur/headline.py`, {told['date']}, {len(told['seeds'])} seeds.",
        "",
        "Against the strongest of all:",
        "",
        *table(told, "blur-metagradient"),
        "",
        "Against the strongest of tuned SGD, momentum and Adam:",
        "",
        *table(told, "blur-metagradient", rivals="*"),
    ]
    text = "\n".join(lines) + "\n"
    (FOLDER / "headline.md").write_text(text)
    print(text)


def measure(path):
    """Lets all of them live and stores what they scored."""
    pg.benchmarks.use_cache()
    suite = pg.benchmarks.suite("race-v0")
    genomes = sorted(FOLDER.glob("genomes/*.safetensors"))
    entries = {genome.stem: entry(str(genome)) for genome in genomes}
    if sum(name.startswith("blur-metagradient") for name in entries) < LEAST:
        raise SystemExit(f"needs {LEAST} meta-trainings of BLUR in {FOLDER.name}/genomes")
    for rule in ("sgd", "momentum", "adam"):
        for score in SCORES:
            label = f"{rule}* for {SCORES[score]}"
            entries[label] = Entry(label, tuned(suite, rule, score=score))
    report = evaluate(entries, suite, on_progress=lambda *done: print(*done, flush=True))
    told = report.to_json()
    told["results"] = {
        name: {setting: kept(result) for setting, result in results.items()}
        for name, results in report.results.items()
    }
    del told["summary"], told["rules"]  # the genomes lie beside it
    write_atomically(path, (json.dumps(told) + "\n").encode())


def kept(result):
    """Of a result, the two scores of each seed."""
    return {score: [round(float(x), 4) for x in getattr(result, score)] for score in SCORES}


def table(told, ours, rivals=""):
    """One line per setting and score: those whose names begin with `ours` against rivals.

    Rivals are those without BLUR whose names hold `rivals`.
    """
    names = list(told["results"])
    blurs = [name for name in names if name.startswith(ours)]
    others = [name for name in names if "blur" not in name and rivals in name]
    yield "| problem | score | BLUR | strongest baseline | its score | difference | each |"
    yield "|---|---|---|---|---|---|---|"
    for split in ("seen", "unseen"):
        settings = told["suite"][split]
        for score, what in SCORES.items():
            together = []
            for setting in settings:
                values = {name: scores(told, name, setting, score) for name in names}
                best = max(others, key=lambda name: values[name].mean())
                differences = np.stack([values[name] - values[best] for name in blurs])
                together.append(differences.mean(1))
                mean = np.mean([values[name].mean() for name in blurs])
                yield row(
                    [f"{setting} ({split})", what, f"{mean:.3f}", best],
                    f"{values[best].mean():.3f}",
                    differences.mean(1),
                    bootstrap_mean(differences, seed=0),
                )
            means = np.mean(together, 0)
            half = stats.t.ppf(0.975, len(means) - 1) * stats.sem(means)
            interval = means.mean() - half, means.mean() + half
            yield row([f"**all {split}**", what, "", "strongest of each"], "", means, interval)


def row(cells, theirs, differences, interval):
    """One line; what is above 0 in bold."""
    (low, high), mean = interval, differences.mean()
    mark = "**" if low > 0 else ""
    shown = f"{mark}{mean:+.3f}{mark} ({low:+.3f} to {high:+.3f})"
    each = ", ".join(f"{difference:+.3f}" for difference in differences)
    return "| " + " | ".join([*cells, theirs, shown, each]) + " |"


def scores(told, name, setting, score):
    """The scores of a rule in a setting, one per seed."""
    return np.asarray(told["results"][name][setting][score])


if __name__ == "__main__":
    main()
