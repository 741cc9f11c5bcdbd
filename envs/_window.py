import os
from typing import final

import gymnasium
import numpy as np
import pygame

_UNSEEN = ("dummy", "offscreen")  # what pygame falls back on where there is no display
_NO_DISPLAY = (
    '`render_mode="human"` needs a display, and there is none; use `render_mode="rgb_array"`, '
    "or set SDL_VIDEODRIVER=dummy to go on without this warning"
)


@final
class Window:
    """A window that shows one picture after the other.

    A window that its user closes stays closed; the environment goes on unseen, as it does,
    with a warning, where there is no display. Windows that are open at once share the one
    display of pygame, which is shut with the last of them.

    Args:
        width, height: in pixels.
        fps: how many pictures are shown in a second at most.

    Raises:
        gymnasium.error.Error: if pygame cannot open any window, be it unseen.
    """

    _open = 0

    def __init__(self, width: int, height: int, fps: int):
        self._fps = fps
        try:
            pygame.display.init()
            self._screen = pygame.display.set_mode((width, height))
        except pygame.error as error:
            raise gymnasium.error.Error(f"{_NO_DISPLAY}: {error}.") from error
        driver = pygame.display.get_driver()
        # Whoever names such a driver knows that there is nothing to see.
        if driver in _UNSEEN and os.environ.get("SDL_VIDEODRIVER") != driver:
            gymnasium.logger.warn(f"{_NO_DISPLAY}; it is drawn unseen.")
        pygame.display.set_caption("plasticgym")
        self._clock = pygame.time.Clock()
        Window._open += 1

    def show(self, pixels: np.ndarray) -> None:
        """Shows a picture of shape `(height, width, 3)` when its time has come."""
        if self._screen is None:
            return
        pygame.surfarray.blit_array(self._screen, pixels.swapaxes(0, 1))
        pygame.display.flip()
        pygame.event.pump()
        self._clock.tick(self._fps)
        if pygame.event.get(pygame.QUIT):
            self.close()

    def close(self) -> None:
        if self._screen is not None:
            self._screen = None
            Window._open -= 1
            if not Window._open:
                pygame.display.quit()
