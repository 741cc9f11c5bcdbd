import itertools
from typing import NamedTuple, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ._panels import GREY, INK, AbstractPanel, Curve, Header, Images, Surface
from ._scene import Scene, Stacks


class Spot(NamedTuple):
    """Where a panel stands, in pixels from the top left corner of the picture."""

    left: float
    top: float
    width: float
    height: float


_WIDTH, _HEIGHT, _DPI = 840, 480, 100  # even numbers of pixels, as films must have
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, _WIDTH - 22, 84, 334
_CURVES = Spot(_LEFT + 12, 384, _RIGHT - _LEFT - 12, 58)
_GAPS = {"sections": 34, "rows": 26, "columns": 10, "curves": 50}
_HEADS = {"synapses": "synapses", "neurons": "neurons by example"}
_ROWS = 3  # of the things that synapses or neurons hold, so many are shown


@final
class Picture:
    """A picture whose lasting parts are drawn once and whose changing parts each time.

    What lasts is laid out by the first scene; all later ones must be of networks built
    alike. The figure stands alone: matplotlib's global state is left as it is.
    """

    def __init__(self) -> None:
        self._figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        self._panels: list[AbstractPanel] = []
        self._lasting = None

    def draw(self, scene: Scene) -> np.ndarray:
        """The pixels, of shape `(height, width, 3)`."""
        if not self._panels:
            self._panels = _laid_out(self._figure, scene)
        moved = [panel.show(scene) for panel in self._panels]
        if self._lasting is None or any(moved):
            self._canvas.draw()
            self._lasting = self._canvas.copy_from_bbox(self._figure.bbox)
        self._canvas.restore_region(self._lasting)
        for panel in self._panels:
            for artist in panel.changing:
                self._figure.draw_artist(artist)
        pixels = np.array(np.asarray(self._canvas.buffer_rgba())[..., :3])
        for panel in self._panels:
            panel.paint(pixels)
        return pixels


def _laid_out(figure: Figure, scene: Scene) -> list[AbstractPanel]:
    """Headline above, the plane, synapses and neurons side by side, curves below."""
    panels: list[AbstractPanel] = [Header(_axes(figure, Spot(_LEFT, 10, _RIGHT - _LEFT, 26)))]
    left, height = _LEFT, _BOTTOM - _TOP
    if scene.plane is not None:
        axes = _axes(figure, Spot(left, _TOP, height, height))
        _head(axes, "decisions")
        panels.append(Surface(axes, scene.plane))
        left += height + _GAPS["sections"]
    sections = {"synapses": scene.synapses, "neurons": scene.neurons}
    columns = [_columns(stacks) for stacks in sections.values()]
    room = _RIGHT - left - _GAPS["sections"] * (len(sections) - 1)
    for (kind, stacks), share in zip(sections.items(), columns, strict=True):
        width = room * share / max(sum(columns), 1)
        spot = Spot(left, _TOP, width, height)
        panels += _section(figure, spot, kind, stacks)
        left += width + _GAPS["sections"]
    return panels + _curves(figure, scene)


def _section(figure: Figure, spot: Spot, kind: str, stacks: Stacks) -> list[Images]:
    """A row of images for each thing held, a column for each block or layer."""
    # Whatever else plain rules keep at a synapse, its weight comes first.
    names = sorted(stacks, key=lambda name: name != "weight")[:_ROWS]
    columns = max(_columns(stacks), 1)
    width = (spot.width + _GAPS["columns"]) / columns - _GAPS["columns"]
    height = (spot.height + _GAPS["rows"]) / max(len(names), 1) - _GAPS["rows"]
    panels = []
    for (row, name), column in itertools.product(enumerate(names), range(columns)):
        stack = stacks[name][column]
        if stack is None:
            continue
        left = spot.left + column * (width + _GAPS["columns"])
        top = spot.top + row * (height + _GAPS["rows"])
        axes = _axes(figure, Spot(left, top, width, height))
        if row == 0:
            rows, across = stack.shape[1:]
            sizes = f"{rows} → {across}" if kind == "synapses" else f"{rows}"
            axes.set_title(sizes, loc="left", fontsize=7.5, color=GREY, pad=3)
        if column == 0:
            axes.set_ylabel(name, fontsize=7.5, color=GREY, labelpad=3)
            if row == 0:
                _head(axes, _HEADS[kind])
        panels.append(Images(axes, kind, name, column))
    return panels


def _curves(figure: Figure, scene: Scene) -> list[Curve]:
    width = (_CURVES.width - _GAPS["curves"]) / 2
    panels = []
    for column, (name, colour) in enumerate((("loss", INK), ("score", "#009E73"))):
        left = _CURVES.left + column * (width + _GAPS["curves"])
        axes = _axes(figure, Spot(left, _CURVES.top, width, _CURVES.height))
        axes.set_title(name, loc="left", fontsize=9, color=colour, weight="bold", pad=8)
        axes.set_xlabel("presentations", fontsize=7.5, color=GREY, labelpad=2)
        panels.append(Curve(axes, column + 1, scene, colour))
    return panels


def _columns(stacks: Stacks) -> int:
    return max((len(each) for each in stacks.values()), default=0)


def _axes(figure: Figure, spot: Spot) -> Axes:
    bottom = _HEIGHT - spot.top - spot.height
    box = (
        spot.left / _WIDTH,
        bottom / _HEIGHT,
        spot.width / _WIDTH,
        spot.height / _HEIGHT,
    )
    return figure.add_axes(box)


def _head(axes: Axes, text: str) -> None:
    """The name of a section, above the titles of its panels."""
    axes.annotate(
        text,
        (0, 1),
        (0, 17),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        color=INK,
        weight="bold",
    )
