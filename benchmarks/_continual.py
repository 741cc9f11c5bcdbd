from ._suite import Setting, Suite

_SPLIT = {"hidden": (64, 32), "batch": 64}


def continual_v0() -> Suite:
    """Several tasks in one life: does a rule keep what it learned?

    Reports on it tell mean accuracy, forgetting and backward transfer besides; see
    [`retention`][plasticgym.benchmarks.retention].

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> list(benchmarks.continual_v0().settings)
        ['split-digits', 'permuted-digits', 'pairs-of-digits']

        ```
    """
    pairs = tuple((i, i + 1) for i in range(0, 10, 2))
    return Suite(
        "continual-v0",
        seen={
            "split-digits": Setting("SplitDigits-v0", {**_SPLIT, "presentations": 1200}),
            "permuted-digits": Setting(
                "PermutedDigits-v0", {"hidden": (100, 100), "batch": 64, "presentations": 3000}
            ),
        },
        unseen={
            "pairs-of-digits": Setting(
                "SplitDigits-v0", {**_SPLIT, "presentations": 1500, "tasks": pairs}
            ),
        },
        seeds=tuple(range(9000, 9016)),
    )
