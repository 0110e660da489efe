"""`./pipeline check-store`, and that docs/object-stores.md says what the stores answer."""

from typing import get_args

import pytest

from local.object_store import Kind
from tests.stores import page
from tests.stores.asked import ask_local

TEXT = page.PAGE.read_text(encoding="utf-8")


def test_the_page_is_as_it_was_written() -> None:
    assert page.render(page.read(TEXT)) == TEXT, f"write it anew: {page.COMMAND}"


@pytest.mark.parametrize("name", get_args(Kind))
def test_the_page_says_what_the_store_answers(name: Kind, request: pytest.FixtureRequest) -> None:
    asked = ask_local(name, request.getfixturevalue(name))
    written = next(one for one in page.read(TEXT) if one.name == name)
    assert asked == written, f"write it anew: {page.COMMAND}"
