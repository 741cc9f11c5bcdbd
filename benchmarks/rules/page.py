"""Where tables are put: between marks of the page "Choose a rule"."""

from pathlib import Path

from plasticgym.benchmarks._page import place

PAGE = Path(__file__).resolve().parents[2] / "docs" / "choose-a-rule.md"


def put(name: str, text: str) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- end of name -->`."""
    place(PAGE, name, text)
