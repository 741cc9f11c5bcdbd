"""A network that recovers: python benchmarks/control/video.py; needs the extra `plot`.

A cart-pole whose outputs are reversed at presentation 500, moved by a homeostat whose weights
are all random. Of 32 lives, those that neither fall in the 100 steps before that nor in their
last 100 are ranked by how often they fall in between, and the middle one is shown. Writes
docs/control/recovery.gif.
"""

from pathlib import Path

import jax
import numpy as np
from PIL import Image, ImageDraw

import plasticgym as pg

FILE = Path(__file__).resolve().parents[2] / "docs" / "control" / "recovery.gif"
LIVES, SEED, AT, BEFORE = 32, 9100, 500, 100
SIZE, EVERY, MILLISECONDS, AFTER = (320, 160), 3, 60, 120
INK, PALE, ALARM = (30, 30, 30), (190, 190, 190), (200, 40, 40)


def main():
    problem = pg.envs.problem("CartPole-v0", hidden=(8,), damages=("reversed",), at=AT)
    keys = jax.random.split(jax.random.key(SEED), LIVES)
    record = pg.envs.lives(pg.rules.Homeostat(), problem, keys=keys, probes=(seen,))
    physics, falls = (np.asarray(x) for x in record.probes[0])
    before, end = ~falls[:, AT - BEFORE : AT].any(1), ~falls[:, -BEFORE:].any(1)
    upright = before & end
    print(f"{upright.sum()} stood before and at the end, {(before & ~end).sum()} only before")
    ranked = sorted(np.flatnonzero(upright), key=lambda life: falls[life, AT:].sum())
    one = int(ranked[len(ranked) // 2])
    last = AT + int(np.flatnonzero(falls[one, AT:])[-1])
    steps = range(AT - BEFORE, min(last + AFTER, len(falls[one])), EVERY)
    fallen = np.cumsum(falls[one])
    frames = [frame(t, physics[one, t], int(fallen[t] - fallen[AT - 1])) for t in steps]
    frames[0].save(FILE, save_all=True, append_images=frames[1:], duration=MILLISECONDS, loop=0)
    size = FILE.stat().st_size / 1000
    print(f"life {one}, last fall at {last}: {len(frames)} frames, {size:.0f} kB")


def seen(rule, problem, before, after):
    """Where the body is, and whether it falls with this presentation."""
    return before.world.physics[0], after.world.rewards[before.time % problem.window] < 0


def frame(time, physics, falls):
    width, height = SIZE
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    ground, metre = height - 30, width / 5.4
    x, angle = width / 2 + physics[0] * metre, physics[2]
    draw.line([(0, ground), (width, ground)], fill=PALE, width=2)
    for edge in (-2.4, 2.4):
        at = width / 2 + edge * metre
        draw.line([(at, ground - 8), (at, ground + 8)], fill=PALE, width=2)
    draw.rectangle([x - 18, ground - 14, x + 18, ground], fill=INK)
    tip = (x + metre * 1.2 * np.sin(angle), ground - 14 - metre * 1.2 * np.cos(angle))
    draw.line([(x, ground - 14), tip], fill=(200, 130, 40), width=6)
    told = f"step {time}"
    draw.text((8, 6), told, fill=INK)
    if time >= AT:
        draw.text((80, 6), f"outputs reversed, falls since: {falls}", fill=ALARM)
    return image.quantize(16)


if __name__ == "__main__":
    main()
