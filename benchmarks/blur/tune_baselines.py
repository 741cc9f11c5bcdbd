"""Tunes the training of BLUR's rivals: python benchmarks/blur/tune_baselines.py

The recipes of normalised SGD and Adam, with linear and with tanh outputs and with two
rates of the meta-gradient (BLUR's own was not tuned), from seed 0; scored on the
*validation* part of the seen and validation problems of `lite-v0` by 32 seeds. The table
goes to docs/blur/baselines.md.
"""

import dataclasses
import itertools
from pathlib import Path

import plasticgym as pg

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "blur"
RULES, TOPS, RATES = ("sgd", "adam"), ("linear", "tanh"), (0.03, 0.1)
STEPS = 400  # half of the recipe's
SPLITS = ("seen", "validation")


def main():
    pg.benchmarks.use_cache()
    suite = pg.benchmarks.suite("lite-v0")
    lines = ["`python benchmarks/blur/tune_baselines.py`: IQM on validation parts (95%).", ""]
    lines += ["| baseline | meta-rate | seen | validation |", "|---|---|---|---|"]
    for rule, top, rate in itertools.product(RULES, TOPS, RATES):
        recipe = pg.agents.recipe(f"{rule}-metagradient", generations=STEPS)
        run = dataclasses.replace(
            recipe,
            options={"top": top},
            agent_options={**recipe.agent_options, "rate": rate},
        )
        agent, start, problems = run.build()
        found = pg.agents.train(agent, start, problems, generations=run.generations, seed=0)
        entry = {"it": found.rule}
        report = pg.benchmarks.evaluate(entry, suite, part="validation", splits=SPLITS)
        cells = [report.summary("it", split) for split in SPLITS]
        scores = " | ".join(f"{c.iqm:.3f} ({c.low:.3f} to {c.high:.3f})" for c in cells)
        lines.append(f"| normalised {rule}, {top} top | {rate} | {scores} |")
        print(lines[-1], flush=True)
        (FOLDER / "baselines.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
