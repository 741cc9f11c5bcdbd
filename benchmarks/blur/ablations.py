"""What of BLUR matters? python benchmarks/blur/ablations.py [VARIANT ...]

Each variant is meta-trained from the same seed by the same, shorter meta-gradient (and one
by CMA-ES for as many generations), on digits with one hidden layer and on the seen
functions of the plane, and scored on the *validation* part of the seen and validation
problems of `lite-v0`, with 32 seeds. There is one meta-training each, of the reference
three, which show how much of a difference is luck. Results are added to
docs/blur/ablations.json, the table to docs/blur/ablations.md.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import plasticgym as pg
from plasticgym.agents.recipes._problems import SEEN
from plasticgym.benchmarks._machine import machine
from plasticgym.rules._atomic import write_atomically

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "blur"
STEPS, SPLITS = 200, ("seen", "validation")
PROBLEMS = ("digits", "xor-50", "or-50", "moons-50", "circle-50")
BODIES = ("digits", "digits-32-32", "digits-96", *PROBLEMS[1:])
AGENT = {"rate": 0.03, "lives": 8, "draws": 2, "warmup": 20, "horizon": STEPS}


# Each: options of the starting genome, and what else differs.
VARIANTS = {
    "reference": ({}, {}),
    "reference, seed 1": ({"seed": 1}, {"seed": 1}),
    "reference, seed 2": ({"seed": 2}, {"seed": 2}),
    "2 states": ({"states": 2}, {}),
    "8 states": ({"states": 8}, {}),
    "1 state per synapse": ({"synapse_states": 1}, {}),
    "asymmetric": ({"wiring": "asymmetric"}, {}),
    "no normalisation": ({"axes": ()}, {}),
    "normalised feedback, too": ({"feedback_axes": ("neurons",)}, {}),
    "pre from the backward state": ({"pre_source": "backward"}, {}),
    "three bodies": ({}, {"problems": BODIES}),
    "error instead of target": ({"injects": "error"}, {}),
    "keeps that stay at 1": ({}, {"fixed": ("synapse.keep",)}),
    "error, and keeps that stay at 1": ({"injects": "error"}, {"fixed": ("synapse.keep",)}),
    "CMA-ES": ({"gauge": "fixed"}, {"agent": "cma-es"}),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="*", default=list(VARIANTS))
    pg.benchmarks.use_cache()
    path = FOLDER / "ablations.json"
    for name in parser.parse_args().variants:
        options, changed = VARIANTS[name]
        found = measured(options, **changed)
        # Read late: another process may have added its variants meanwhile.
        told = json.loads(path.read_text()) if path.is_file() else {}
        told = {v: (told | {name: found})[v] for v in VARIANTS if v in told or v == name}
        write_atomically(path, (json.dumps(told, indent=1) + "\n").encode())
        (FOLDER / "ablations.md").write_text("\n".join(table(told)) + "\n")
        print(name, told[name]["scores"], flush=True)


def measured(options, *, problems=PROBLEMS, agent="metagradient", seed=0, **changed):
    """Trains a variant and scores it on the validation part."""
    rule = pg.rules.make("blur", genome="normalised", **options)
    where = [pg.envs.PROBLEMS.make(i, **o) for i, o in (SEEN[name] for name in problems)]
    if agent == "metagradient":
        trainer = pg.agents.MetaGradient(**AGENT, **changed)
    else:
        trainer = pg.agents.Evolution(
            population=32, lives=2, draws=2, spread=0.3, objective="loss"
        )
    clock = time.perf_counter()
    trained = pg.agents.train(trainer, rule, where, generations=STEPS, seed=seed)
    seconds = time.perf_counter() - clock
    report = pg.benchmarks.evaluate(
        {"variant": trained.rule},
        pg.benchmarks.suite("lite-v0"),
        part="validation",
        splits=SPLITS,
    )
    results = report.results["variant"]
    return {
        "scores": {
            name: [round(float(x), 4) for x in (r.last.mean(), r.stream_area.mean())]
            for name, r in results.items()
        },
        "iqm": {split: report.summary("variant", split)[:3] for split in report.splits},
        "genes": int(pg.rules.genome(rule).size),
        "failures": float(np.mean([r.failures for r in results.values()])),
        "seconds": round(seconds),
        "machine": machine()._asdict(),
    }


SHOWN = ("digits", "digits-64-32", "digits-128", "xor", "moons", "circle", "nxor", "slice")


def table(told):
    """The lines of the table: last validation score / stream area."""
    yield f"`python benchmarks/blur/ablations.py`, {STEPS} meta-steps or generations each."
    yield ""
    yield "| variant | genes | seen, IQM | validation, IQM | " + " | ".join(SHOWN) + " |"
    yield "|---" * (len(SHOWN) + 4) + "|"
    for name, found in told.items():
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*found["iqm"][s]) for s in SPLITS]
        cells += ["{:.3f} / {:.3f}".format(*found["scores"][s]) for s in SHOWN]
        yield f"| {name} | {found['genes']} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
