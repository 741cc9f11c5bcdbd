from ._suite import Setting, Suite

_LONG = 10  # times the presentations


def lite_v0() -> Suite:
    """Twenty-two problems in minutes, on which claims may stand: which rules generalise?

    Rules are trained on the seen ones, chosen with a look at the validation ones, and only
    scored on the unseen ones: other functions, other tables, other bodies, and the seen
    problems in lives of ten times the length. Lives are 20 presentations of 32 on images
    and tables, with a hidden layer of 32, and 50 of 32 in the plane, with one of 20.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> {split: len(s) for split, s in benchmarks.lite_v0().splits.items()}
        {'seen': 5, 'validation': 5, 'unseen': 12}

        ```
    """
    plane = ("xor", "or", "moons", "circle")
    return Suite(
        "lite-v0",
        seen={"digits": Setting("Digits-v0"), **{name: _plane(name) for name in plane}},
        validation={
            **{name: _plane(name) for name in ("nxor", "and", "slice")},
            "digits-64-32": Setting("Digits-v0", {"hidden": (64, 32)}),
            "digits-128": Setting("Digits-v0", {"hidden": (128,)}),
        },
        unseen={
            **{name: _plane(name) for name in ("cross", "triangle", "blobs")},
            "wine": Setting("Wine-v0"),
            "breast-cancer": Setting("BreastCancer-v0"),
            "digits-48-24-16": Setting("Digits-v0", {"hidden": (48, 24, 16)}),
            "digits-256": Setting("Digits-v0", {"hidden": (256,)}),
            "digits-long": Setting("Digits-v0", {"presentations": 20 * _LONG}),
            **{f"{name}-long": _plane(name, presentations=50 * _LONG) for name in plane},
        },
        seeds=tuple(range(2000, 2032)),
    )


def _plane(name: str, **options: int) -> Setting:
    return Setting(f"{name.capitalize()}-v0", options)
