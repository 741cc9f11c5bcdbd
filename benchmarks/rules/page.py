"""Where tables are put: between marks of the page "Choose a rule"."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "choose-a-rule.md"


def put(name: str, text: str) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- end of name -->`."""
    marks = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
    page, found = re.subn(
        marks, lambda m: m[1] + text + "\n" + m[2], PAGE.read_text(), flags=re.DOTALL
    )
    if found != 1:
        raise SystemExit(f"{PAGE} has {found} places for {name}, not one.")
    PAGE.write_text(page)
