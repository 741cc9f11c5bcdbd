"""Digits, one presentation each: python benchmarks/memory/digits.py

As random_patterns.py, on real 8x8 digits in black and white and their upper halves.
Choices are made on the validation images, what is reported comes from the test images.

Writes docs/memory/digits.json and .png, and a table into docs/memory.md.
"""

import dataclasses

import numpy as np
from study import study

import plasticgym as pg
from plasticgym.envs._snippets import strips

# The validation part, 300 images, has no more than that.
NUMBERS = (8, 16, 24, 32, 40, 48, 64, 80)


def main():
    pg.benchmarks.use_cache()
    usual = 2.0 * np.float32(strips("train", 1).mean((0, 1))) - 1.0
    study("digits", problem, NUMBERS, usual=usual)


def problem(part, hidden, stored, delay):
    lived = pg.envs.remember_digits(hidden=hidden, stored=stored, delay=delay)
    return dataclasses.replace(lived, patterns=strips(part, 1))


if __name__ == "__main__":
    main()
