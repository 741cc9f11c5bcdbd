from typing import Any

import gymnasium
import numpy as np

from ._role import AbstractRole, Episode
from ._scene import look

RENDER_MODES = ("human", "rgb_array")
RENDER_FPS = 10


class Renderer:
    """Draws a network as it learns, for `render_mode` of an environment.

    It shows the synapses of each block and the neurons of each layer as images, blue
    below zero and red above it, each block and layer on its own scale; the loss and the
    score of the training stream so far, dotted at chance; and, of problems in the plane,
    what the network says of each point, with the train part and, ringed, the examples of
    the latest presentation. Of the several numbers of a synapse or neuron the first four
    are shown; the examples of a batch are sorted by class. The test part is not opened.

    An environment calls `begin` after each reset, `follow` after each step and `draw`
    when it is asked to render. Nothing is drawn before, save in mode `"human"`, in which
    each reset and step draws by itself.

    Args:
        role: of the environment.
        mode: `"rgb_array"`: `draw` returns an array of shape `(height, width, 3)` and
            type `uint8`; `"human"`: it draws in a window.

    Raises:
        ValueError: if there is no such mode.
        gymnasium.error.DependencyNotInstalled: if matplotlib, or pygame for a window, is
            not installed.
    """

    def __init__(self, role: AbstractRole, mode: str):
        if mode not in RENDER_MODES:
            raise ValueError(
                f"`render_mode` must be None or one of {RENDER_MODES}, got {mode!r}."
            )
        self._role = role
        self._curve: list[tuple[float, float, float]] = []
        self._latest: tuple[Episode, np.ndarray] | None = None
        self._picture = _picture()
        self._open = _window() if mode == "human" else None
        self._window: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_picture": None, "_window": None}  # a copy has its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _picture=_picture())

    def begin(self, episode: Episode) -> None:
        """A new life."""
        self._curve = []
        self.follow(episode, np.zeros(self._role.acted, np.float32))

    def follow(self, episode: Episode, action: np.ndarray) -> None:
        """The life after an action."""
        progress = episode.progress
        point = (int(episode.life.time), float(progress.loss), float(progress.score))
        self._curve.append(point)
        self._latest = (episode, action)
        if self._open is not None:
            self.draw()

    def draw(self) -> np.ndarray | None:
        """The picture of the latest life as an array, or `None` if it is in a window.

        Raises:
            gymnasium.error.ResetNeeded: if there was no life yet.
        """
        if self._latest is None:
            raise gymnasium.error.ResetNeeded("`render` needs a life: call `reset` first.")
        pixels = self._picture.draw(look(self._role, *self._latest, self._curve))
        if self._open is None:
            return pixels
        if self._window is None:
            self._window = self._open(pixels.shape[1], pixels.shape[0], RENDER_FPS)
        self._window.show(pixels)
        return None

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._window is not None:
            self._window.close()
        self._window = self._latest = None


def _picture() -> Any:
    try:
        from ._picture import Picture
    except ModuleNotFoundError as error:
        raise gymnasium.error.DependencyNotInstalled(
            'rendering needs matplotlib; install it with `pip install "plasticgym[plot]"`.'
        ) from error
    return Picture()


def _window() -> Any:
    try:
        from ._window import Window
    except ModuleNotFoundError as error:
        raise gymnasium.error.DependencyNotInstalled(
            '`render_mode="human"` needs pygame; install it with '
            '`pip install "plasticgym[render]"`.'
        ) from error
    return Window
