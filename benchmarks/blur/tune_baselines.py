"""Tunes the training of BLUR's rivals: python benchmarks/blur/tune_baselines.py

The recipe of normalised SGD, in half as many meta-steps, with the rate of the meta-gradient
and the outputs of the recipe, and with others (BLUR's own were not tuned), from seed 0;
scored on the
*validation* part of the seen and validation problems of `lite-v0` by 32 seeds. The table
goes to docs/blur/baselines.md.
"""

import dataclasses
from pathlib import Path

import plasticgym as pg

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "blur"
STEPS, TRIALS = 400, (("linear", 0.03), ("linear", 0.1), ("tanh", 0.03))
SPLITS = ("seen", "validation")


def main():
    pg.benchmarks.use_cache()
    suite = pg.benchmarks.suite("lite-v0")
    lines = ["`python benchmarks/blur/tune_baselines.py`: IQM on validation parts (95%).", ""]
    lines += ["| baseline | meta-rate | seen | validation |", "|---|---|---|---|"]
    for top, rate in TRIALS:
        recipe = pg.agents.recipe("sgd-metagradient", generations=STEPS)
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
        lines.append(f"| normalised sgd, {top} top | {rate} | {scores} |")
        print(lines[-1], flush=True)
        (FOLDER / "baselines.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
