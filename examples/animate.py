"""A rule learns a problem, as an animation: how the README's is made.

    pip install ".[plot]" && python examples/animate.py docs/blur-moons.gif

It shows BLUR, with the genome that comes with the package, learning to tell moons apart
in 50 presentations of 32 points: from top left what the network says of the plane, its
synapses, its neurons, and how well it does on points before learning from them.
"""

import sys

import gymnasium
import numpy as np
from PIL import Image

import plasticgym  # noqa: F401

EVERY, COLOURS = 2, 64  # a picture in so many, and of so many colours: a small file
THIN = [(0, 158, 115), (119, 119, 119), (34, 34, 34)]  # of lines and letters: to be kept
LAST = 2500  # milliseconds that the last picture stays


def pictures(problem: str, seed: int, **options: object) -> tuple[list[np.ndarray], float]:
    """A picture before and after each presentation, and the score at the end."""
    env = gymnasium.make(
        f"plasticgym/{problem}",
        presentations_per_action=1,
        render_mode="rgb_array",
        **options,
    )
    env.reset(seed=seed)
    shown, over, info = [env.render()], False, {}
    while not over:
        *_, over, _, info = env.step(np.zeros(env.action_space.shape, np.float32))
        shown.append(env.render())
    env.close()
    return shown, info["score"]


def write(path: str, shown: list[np.ndarray], milliseconds: int) -> None:
    """A GIF that repeats for ever, with one palette so that what rests need not be stored."""
    thin = np.repeat(np.array(THIN, np.uint8), 40, axis=0)[:, None].repeat(shown[0].shape[1], 1)
    palette = Image.fromarray(np.concatenate([*shown[:: max(len(shown) // 4, 1)], thin]))
    palette = palette.quantize(COLOURS, Image.Quantize.MEDIANCUT)
    first, *others = (
        Image.fromarray(each).quantize(palette=palette, dither=Image.Dither.NONE)
        for each in shown
    )
    durations = [milliseconds] * len(others) + [LAST]
    first.save(
        path, save_all=True, append_images=others, duration=durations, loop=0, optimize=True
    )


def main(path: str, **options: object) -> float:
    """Writes the animation, with options of the problem, and returns the score."""
    shown, score = pictures("Moons-v0", seed=0, rule="blur", genome="shipped", **options)
    write(path, shown[::EVERY], milliseconds=200)
    return score


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"the score on the validation part is {main(sys.argv[1]):.3f}")
