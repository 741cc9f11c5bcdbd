"""Digits, one presentation each: python benchmarks/memory/digits.py

As random_patterns.py, on real 8x8 digits in black and white and their upper halves.
Choices are made on the validation images, what is reported comes from the test images.

Writes docs/memory/digits.json and .png, and a table into docs/memory.md.
"""

from typing import Any

import numpy as np
from study import study

import plasticgym as pg

# The validation part, 300 images, has no more than that.
NUMBERS = (8, 16, 24, 32, 40, 48, 64, 80)


def main():
    pg.benchmarks.use_cache()
    images: Any = pg.envs.remember_digits(part="train", stored=1, hidden=0).patterns
    study("digits", problem, NUMBERS, usual=2.0 * np.float32(images.mean((0, 1))) - 1.0)


def problem(part, hidden, stored, delay):
    return pg.envs.remember_digits(part=part, hidden=hidden, stored=stored, delay=delay)


if __name__ == "__main__":
    main()
