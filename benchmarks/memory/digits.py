"""Digits, one presentation each: python benchmarks/memory/digits.py

As random_patterns.py, on real 8x8 digits in black and white and their upper halves.
Choices are made on the validation images, what is reported comes from the test images.

Writes docs/memory/digits.json and .png, and a table into docs/memory.md.
"""

from study import DELAYS, STORED, study

import plasticgym as pg


def main():
    pg.benchmarks.use_cache()
    study("digits", problem)


def problem(part, hidden):
    sizes = {"stored": STORED[-1], "delay": DELAYS[-1]}
    return pg.envs.remember_digits(part=part, hidden=hidden, **sizes)


if __name__ == "__main__":
    main()
