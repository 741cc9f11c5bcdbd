"""The memory of a meta-gradient: python benchmarks/speed/memory.py

One meta-step of BLUR, 16 lives on digits, at 50, 200 and 800 presentations: what the
compiled program needs besides its inputs and outputs, with everything kept and with
segments of about the square root of the number of presentations. Nothing is run.
"""

import argparse
import math
from typing import Any

import equinox as eqx
import jax

import plasticgym as pg
from plasticgym.benchmarks._machine import machine

LIVES, PRESENTATIONS = 16, (50, 200, 800)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genome", default="normalised", help="of BLUR, by name or file")
    genome = parser.parse_args().genome
    rule = pg.rules.make("blur", genome=genome)
    print(machine())
    print(f"blur with the genome {genome!r}, {LIVES} lives, digits, 64-32-10, batch 32")
    print(f"{'presentations':>13} {'segment':>8} {'MB':>9}   ratio to everything kept")
    for presentations in PRESENTATIONS:
        whole = needed(rule, presentations, None)
        segment = round(math.sqrt(presentations))
        segmented = needed(rule, presentations, segment)
        for length, size in ((None, whole), (segment, segmented)):
            row = f"{presentations:13} {length or 'none':>8} {size / 1e6:9.1f}"
            print(f"{row}   {size / whole:.3f}")


def needed(rule, presentations: int, segment: int | None) -> int:
    """Bytes of the temporaries of a meta-step."""
    problems = (pg.envs.digits(presentations=presentations),)
    agent = pg.agents.MetaGradient(lives=LIVES, segment=segment)
    search = eqx.filter_jit(agent.init)(rule, problems, key=jax.random.key(0))
    update: Any = eqx.filter_jit(agent.update)
    compiled = update.lower(rule, problems, search).compile()
    return compiled.compiled.memory_analysis().temp_size_in_bytes


if __name__ == "__main__":
    main()
