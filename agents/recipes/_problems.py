import itertools
from typing import Any

Problems = dict[str, tuple[str, dict[str, Any]]]

# What recipes train on: the seen problems of `lite-v0`, the images also in other bodies
# and the points in the plane turned afresh in every world, in lives of two lengths.
SEEN: Problems = {
    "digits": ("Digits-v0", {"hidden": (32,), "presentations": 20}),
    "digits-rotated": (
        "Digits-v0",
        {"hidden": (32,), "presentations": 20, "view": "rotated"},
    ),
    "digits-96": ("Digits-v0", {"hidden": (96,), "presentations": 20}),
    "digits-32-32": ("Digits-v0", {"hidden": (32, 32), "presentations": 20}),
    "digits-24-24-24": ("Digits-v0", {"hidden": (24, 24, 24), "presentations": 20}),
    "digits-long": ("Digits-v0", {"hidden": (32,), "presentations": 50}),
} | {
    f"{name}-{presentations}": (
        f"{name.capitalize()}-v0",
        {"presentations": presentations, "view": "rotated"},
    )
    for presentations, name in itertools.product((20, 50), ("xor", "or", "moons", "circle"))
}
