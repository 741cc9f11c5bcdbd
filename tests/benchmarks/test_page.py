"""Tables are put between the comments of a page that bear their name, and nowhere else."""

import pytest

from plasticgym.benchmarks._page import place

PAGE = "a\n<!-- one -->\nold\n<!-- end of one -->\nb\n<!-- two -->\n<!-- end of two -->\n"


def test_what_stands_between_the_comments_of_a_name_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    place(page, "one", r"| \g<1> |")
    assert page.read_text() == PAGE.replace("old", r"| \g<1> |")
    place(page, "two", "new")
    assert page.read_text().endswith("b\n<!-- two -->\nnew\n<!-- end of two -->\n")


@pytest.mark.parametrize("text", ["", PAGE * 2, "<!-- one -->\n"])
def test_a_page_without_its_one_place_is_refused_and_kept(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="must hold <!-- one --> and, below it,"):
        place(page, "one", "new")
    assert page.read_text() == text
