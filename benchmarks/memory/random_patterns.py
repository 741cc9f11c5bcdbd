"""Random patterns, one presentation each: python benchmarks/memory/random_patterns.py

Every contestant stores patterns of 64 bits and recalls them from their first half, at once
or after 16 others. Bits per float are those remembered per entry that a life changes. The
number stored at which a contestant has most of them, and how long a classical one settles,
are chosen on the validation part and seeds of their own; what is reported comes from the
test part and 16 other seeds.

Writes docs/memory/random_patterns.json and .png, and a table into docs/memory.md.
"""

from study import study

import plasticgym as pg

NUMBERS = (8, 16, 24, 32, 40, 48, 64, 80)


def main():
    pg.benchmarks.use_cache()
    study("random_patterns", problem, NUMBERS)


def problem(part, hidden, stored, delay):
    return pg.envs.remember(bits=64, hidden=hidden, stored=stored, delay=delay)


if __name__ == "__main__":
    main()
