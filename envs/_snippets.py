from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..rules import Body
from ._base import Part
from ._remember import Place, Remember, check_lengths
from ._tables import digits, layered

_PIXELS, _INK = 64, 8  # of an image; what counts as black of a pixel from 0 to 16


def remember(
    *,
    bits: int = 32,
    snippet: int = 1,
    stored: int = 8,
    delay: int = 8,
    cue: float = 0.5,
    place: Place = "beginning",
    hidden: tuple[int, ...] | int = (32,),
    presentations: int | None = None,
) -> Remember:
    """Random snippets, shown once, to be recalled from a part of their bits.

    What a life is and how it is scored is told in [`Remember`][plasticgym.envs.Remember].

    Args:
        bits: of a presentation.
        snippet: presentations of a snippet.
        stored: how many snippets are written.
        delay: presentations that pass before they are recalled.
        cue: the part of the bits of a snippet that is clamped in recall.
        place: of the cue, `"beginning"` or `"random"`.
        hidden: sizes of the hidden layers; or a whole number, the hidden neurons of one
            recurrent population, which may be 0.
        presentations: length of a life; `None`: until everything was recalled once.

    Raises:
        ValueError: if a size is not positive, `cue` leaves no bit or all of them free, or
            the life ends before everything is written and the delay over.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.remember(bits=16, hidden=0).body.layers
        (16,)

        ```
    """
    check_lengths(bits, snippet, stored, delay, cue)
    life = (3 * stored) * snippet + delay if presentations is None else presentations
    return Remember(  # pyright: ignore[reportCallIssue]
        body=_body(bits, hidden),
        bits=bits,
        snippet=snippet,
        stored=stored,
        delay=delay,
        cue=cue,
        presentations=life,
        place=place,
    )


def remember_digits(
    *,
    snippet: Literal[1, 2, 4, 8] = 1,
    stored: int = 8,
    delay: int = 8,
    cue: float = 0.5,
    place: Place = "beginning",
    hidden: tuple[int, ...] | int = (64,),
    part: Part = "train",
    presentations: int | None = None,
) -> Remember:
    """Handwritten digits in black and white, shown once, to be recalled from a half.

    Images of 8x8 pixels are cut into `snippet` strips from top to bottom, so that the
    beginning is the upper half. Arguments and errors beside these as for
    [`remember`][plasticgym.envs.remember].

    Args:
        snippet: strips of an image, each a presentation of 64 / `snippet` bits.
        stored: how many images are written.
        delay: presentations of other images before they are recalled.
        cue: the part of an image that is clamped in recall.
        place: of the cue, `"beginning"` or `"random"`.
        hidden: sizes of the hidden layers, or the hidden neurons of one population.
        part: of the data from which all snippets of a life come: `"train"`, or
            `"validation"` to choose by. Whichever it is, a life is tested on what it was
            shown; test images are for the scripts of `benchmarks/` alone.
        presentations: length of a life; `None`: until everything was recalled once.

    Raises:
        ValueError: if images cannot be cut so, or `part` is unknown, too small or `"test"`.

    Source: Alpaydin and Kaynak (1998), as bundled with scikit-learn.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.remember_digits(stored=4, hidden=(16,)).body.layers
        (64, 16, 64)

        ```
    """
    if snippet not in (1, 2, 4, 8):
        raise ValueError(f"`snippet` must be 1, 2, 4 or 8 strips of an image, got {snippet!r}.")
    if part == "test":
        raise ValueError(
            "`part` must be 'train' or 'validation', got 'test': who lives with test images "
            "has seen them; only scripts of benchmarks/ measure on them."
        )
    bits = _PIXELS // snippet
    check_lengths(bits, snippet, stored, delay, cue)
    life = (3 * stored) * snippet + delay if presentations is None else presentations
    return Remember(  # pyright: ignore[reportCallIssue]
        body=_body(bits, hidden),
        bits=bits,
        snippet=snippet,
        stored=stored,
        delay=delay,
        cue=cue,
        presentations=life,
        place=place,
        patterns=strips(part, snippet),
    )


def strips(part: Part, snippet: int) -> Bool[Array, "images snippet bits"]:
    """The images of a part in black and white, cut from top to bottom."""
    images = digits().part(part).inputs >= jnp.uint8(_INK)
    return images.reshape(-1, snippet, _PIXELS // snippet)


def _body(bits: int, hidden: tuple[int, ...] | int) -> Body:
    """Layers, or one population with so many neurons more than bits."""
    if isinstance(hidden, bool) or not isinstance(hidden, int):
        return layered((bits, bits), hidden)  # pyright: ignore[reportArgumentType]
    if hidden < 0:
        raise ValueError(f"`hidden` must be at least 0, got {hidden}.")
    return Body((bits + hidden,), hidden=hidden)
