"""Page tokens."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import page_token
from mesh.errors import InvalidArgument


@given(st.text(st.characters(codec="utf-8")))
def test_a_token_brings_its_position_back(position: str) -> None:
    token = page_token.encode(position)

    assert page_token.decode(token) == position
    assert token.isascii()


def test_no_token_is_the_first_page() -> None:
    assert page_token.decode("") == ""


@given(st.text())
def test_any_other_text_is_refused_or_read_and_never_fails(token: str) -> None:
    with suppress(InvalidArgument):
        assert isinstance(page_token.decode(token), str)


@pytest.mark.parametrize("token", ["a", "!!!!", "_w", "ü", "YW Jj", "\x00"])
def test_a_token_we_did_not_make_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token: is not a token of an earlier page"):
        page_token.decode(token)


@pytest.mark.parametrize(("requested", "size"), [(0, 100), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000)])
def test_a_page_has_its_default_and_its_most(requested: int, size: int) -> None:
    assert page_token.page_size(requested) == size
