"""Random patterns, one presentation each: python benchmarks/memory/random_patterns.py

Every contestant stores patterns of 64 bits and recalls them from their first half, at once
or after 16 others. Bits per float are those remembered per entry that a life changes. The
number stored at which a contestant has most of them, and how long a classical one settles,
are chosen on the validation part and seeds of their own; what is reported comes from the
test part and 16 other seeds.

Writes docs/memory/random_patterns.json and .png, and a table into docs/memory.md.
"""

from study import DELAYS, STORED, study

import plasticgym as pg


def main():
    pg.benchmarks.use_cache()
    study("random_patterns", problem)


def problem(part, hidden):
    return pg.envs.remember(bits=64, stored=STORED[-1], delay=DELAYS[-1], hidden=hidden)


if __name__ == "__main__":
    main()
