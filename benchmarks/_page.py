"""Where pages hold what was measured: between two comments that bear its name."""

import re
from pathlib import Path

from ..rules._atomic import write_atomically


def place(page: Path, name: str, text: str) -> None:
    """Puts text between `<!-- name -->` and `<!-- end of name -->`, for what stands there.

    Raises:
        ValueError: if the page does not hold both comments once.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    after, found = between.subn(lambda _: f"{begin}{text}\n{end}", page.read_text())
    if found != 1:
        raise ValueError(
            f"{page} must hold {begin.strip()} and, below it, {end} once, got {found}."
        )
    write_atomically(page, after.encode())
