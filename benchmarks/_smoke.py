from ._suite import Setting, Suite


def smoke_v0() -> Suite:
    """Six small problems, in a minute: for trying things out, not for claims.

    Three may be trained on; the other three are of the kind of two of them.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> len(benchmarks.smoke_v0().seeds)
        32

        ```
    """
    return Suite(
        "smoke-v0",
        seen={
            "digits": Setting("Digits-v0"),
            "xor": Setting("Xor-v0"),
            "moons": Setting("Moons-v0"),
        },
        unseen={
            "nxor": Setting("Nxor-v0"),
            "and": Setting("And-v0"),
            "slice": Setting("Slice-v0"),
        },
        # Far from the small numbers that people train and tune with.
        seeds=tuple(range(1000, 1032)),
    )
