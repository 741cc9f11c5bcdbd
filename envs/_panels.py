"""The parts of a picture: each has artists that change with every scene, and a frame."""

import abc
import itertools
from typing import Any, final

import numpy as np
from matplotlib import colors
from matplotlib.axes import Axes

from ._scene import Plane, Points, Scene

INK, GREY, RULE = "#222222", "#777777", "#d4d4d4"
# Of classes: those of Okabe and Ito, which colour-blind people tell apart; then repeated.
CLASSES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0C800")
_SIGNED = ("#04365a", "#0072B2", "#ffffff", "#D55E00", "#5e2100")
_BLEND = colors.LinearSegmentedColormap.from_list("signed", _SIGNED, N=255)  # odd: 0 is white
_SHADES = np.rint(_BLEND(np.arange(255))[:, :3] * 255).astype(np.uint8)
_RIM, _BETWEEN = 0xD4, 0xE8  # greys
_GAP = 4  # pixels between tiles
_SMALL = 7.5  # points
_STEPS = np.array([1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0])
_SHOWN = 150  # of the points of a class in the train part: more would hide the surface


class AbstractPanel(abc.ABC):
    """A part of a picture.

    `changing` are its artists that are drawn with every scene; `show` sets them.
    """

    changing: list[Any]

    @abc.abstractmethod
    def show(self, scene: Scene) -> bool:
        """Makes ready for a scene; whether what lasts has changed as well."""

    def paint(self, pixels: np.ndarray) -> None:  # noqa: B027
        """Puts what needs no artist into a picture of shape `(height, width, 3)`."""


@final
class Header(AbstractPanel):
    """How far the life has come, and whether it has diverged."""

    def __init__(self, axes: Axes):
        axes.set_axis_off()
        style = {"fontsize": 11, "va": "center", "animated": True}
        self._time = axes.text(0, 0.5, "", color=INK, weight="bold", **style)
        self._end = axes.text(1, 0.5, "", color=CLASSES[1], ha="right", **style)
        self.changing = [self._time, self._end]

    def show(self, scene: Scene) -> bool:
        self._time.set_text(f"{scene.time} of {scene.last} presentations")
        self._end.set_text("diverged" if scene.diverged else "")
        return False


@final
class Images(AbstractPanel):
    """What the synapses of a block or the neurons of a layer hold, one tile per number.

    Painted by hand: the many small images are most of a picture, and matplotlib takes
    a millisecond or more for each.
    """

    def __init__(self, axes: Axes, kind: str, name: str, place: int):
        self._axes, self._of = axes, (kind, name, place)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        self._scale = axes.set_title("", loc="right", fontsize=_SMALL, color=GREY, pad=3)
        self._scale.set_animated(True)
        self._stack, self._size = np.zeros((1, 1, 1)), 1.0
        self.changing = [self._scale]

    def show(self, scene: Scene) -> bool:
        kind, name, place = self._of
        self._stack = np.nan_to_num(getattr(scene, kind)[name][place], posinf=0.0, neginf=0.0)
        size = ceiling(float(np.abs(self._stack).max(initial=0.0)))
        self._scale.set_text(f"±{size:.2g}" if size else "")
        self._size = size or 1.0
        return False

    def paint(self, pixels: np.ndarray) -> None:
        left, bottom, right, top = np.rint(self._axes.bbox.extents).astype(int)
        image = pixels[len(pixels) - top : len(pixels) - bottom, left:right]
        image[:] = _RIM
        image = image[1:-1, 1:-1]
        image[:] = _BETWEEN
        shades = np.rint((self._stack / self._size + 1) / 2 * (len(_SHADES) - 1)).astype(int)
        for box, tile in zip(_boxes(*shades.shape, *image.shape[:2]), shades, strict=True):
            part = image[box]
            down, across = (
                np.arange(n) * m // n for n, m in zip(part.shape, tile.shape, strict=False)
            )
            part[:] = _SHADES[tile[np.ix_(down, across)]]


@final
class Surface(AbstractPanel):
    """What the network says of each point of the plane."""

    def __init__(self, axes: Axes, plane: Plane):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(RULE)
        self._image = axes.imshow(
            _tinted(plane.surface),
            extent=plane.box,
            origin="lower",
            interpolation="bilinear",
            aspect="auto",
            animated=True,
        )
        classes = range(plane.surface.shape[-1])
        style: dict[str, Any] = {"linestyle": "", "animated": True}
        self._train = [
            axes.plot([], [], ".", color=_colour(c), markersize=3, alpha=0.55, mew=0, **style)[
                0
            ]
            for c in classes
        ]
        for line, points in zip(self._train, _by_class(plane.train, len(classes)), strict=True):
            line.set_data(*points[:_SHOWN].T)
        self._batch = [
            axes.plot(
                [], [], "o", color=_colour(c), markersize=6.5, mec="white", mew=1.1, **style
            )[0]
            for c in classes
        ]
        self.changing = [self._image, *self._train, *self._batch]

    def show(self, scene: Scene) -> bool:
        if scene.plane is None:
            return False
        self._image.set_data(_tinted(scene.plane.surface))
        points = _by_class(scene.plane.batch, len(self._batch))
        for line, each in zip(self._batch, points, strict=True):
            line.set_data(*each.T)
        return False


@final
class Curve(AbstractPanel):
    """The loss or the score of the training stream so far, dotted at chance."""

    def __init__(self, axes: Axes, column: int, scene: Scene, colour: str):
        self._axes, self._column = axes, column
        chance = scene.chance[column - 1]
        self._limits = (min(0.0, chance), max(1.0, 1.25 * chance))
        axes.set(xlim=(0, scene.last), ylim=self._limits)
        axes.axhline(chance, color=GREY, linestyle=(0, (1, 1.5)), linewidth=1.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(RULE)
        axes.tick_params(labelsize=_SMALL, color=RULE, labelcolor=GREY, length=3)
        axes.locator_params(axis="x", nbins=6, integer=True)
        axes.locator_params(axis="y", nbins=3)
        style: dict[str, Any] = {"color": colour, "clip_on": False, "animated": True}
        self._line = axes.plot([], [], linewidth=1.7, **style)[0]
        self._now = axes.plot([], [], "o", markersize=5.5, **style)[0]
        self._value = axes.set_title("", loc="right", fontsize=9, weight="bold", pad=8)
        self._value.set(color=colour, animated=True)
        self.changing = [self._line, self._now, self._value]

    def show(self, scene: Scene) -> bool:
        times, values = scene.curve[:, 0], scene.curve[:, self._column]
        self._line.set_data(times, values)
        self._now.set_data(times[-1:], values[-1:])
        self._value.set_text(f"{values[-1]:.2f}")
        chance = scene.chance[self._column - 1]
        low, high = min(0.0, chance), max(1.0, 1.25 * chance)
        if values.min() < low:
            low = -ceiling(-float(values.min()))
        if values.max() > high:
            high = ceiling(float(values.max()))
        moved = (low, high) != self._limits
        self._limits = (low, high)
        self._axes.set_ylim(low, high)
        return moved


def ceiling(size: float) -> float:
    """The next round number, so that a scale moves seldom and in visible steps."""
    if not size > 0:
        return 0.0
    power = 10.0 ** np.floor(np.log10(size))
    steps = _STEPS * power
    return float(steps[min(np.searchsorted(steps, size), len(steps) - 1)])


def _boxes(
    tiles: int, rows: int, columns: int, height: int, width: int
) -> list[tuple[slice, slice]]:
    """The pixels of each tile: they stand side by side, or above each other if wide."""
    length = height if columns >= rows else width
    edges = np.rint(np.linspace(0, length + _GAP, tiles + 1)).astype(int)
    spans = [slice(start, stop - _GAP) for start, stop in itertools.pairwise(edges)]
    everything = slice(None)
    return [(s, everything) if columns >= rows else (everything, s) for s in spans]


def _tinted(beliefs: np.ndarray) -> np.ndarray:
    """The colour of the likeliest class, the paler the less sure."""
    beliefs = np.nan_to_num(beliefs)
    classes = beliefs.shape[-1]
    palette = np.array([colors.to_rgb(_colour(c)) for c in range(classes)])
    sure = (beliefs.max(-1, keepdims=True) - 1 / classes) / (1 - 1 / classes)
    return 1 - 0.5 * np.clip(sure, 0, 1) * (1 - palette[beliefs.argmax(-1)])


def _by_class(examples: Points, classes: int) -> list[np.ndarray]:
    return [examples.inputs[examples.classes == c] for c in range(classes)]


def _colour(number: int) -> str:
    return CLASSES[number % len(CLASSES)]
