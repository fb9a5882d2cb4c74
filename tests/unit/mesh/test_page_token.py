"""Page tokens."""

from contextlib import suppress

import pytest
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given
from hypothesis import strategies as st

from mesh import page_token
from mesh.errors import InvalidArgument


@given(st.text(st.characters(codec="utf-8")))
def test_a_token_brings_its_position_back(position: str) -> None:
    token = page_token.encode(position)

    assert page_token.decode(token) == position
    assert token.isascii()


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.lists(st.text("ab "), min_size=2, max_size=2, unique=True))
def test_a_token_is_good_for_its_own_list_only(position: str, scopes: list[str]) -> None:
    scope, other = scopes
    token = page_token.encode(position, scope)

    assert page_token.decode(token, scope) == position
    with pytest.raises(InvalidArgument):
        page_token.decode(token, other)


def test_no_token_is_the_first_page_and_the_end() -> None:
    assert page_token.decode("") == ""
    assert page_token.encode("", "a list") == ""


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


def test_a_page_ends_before_it_is_too_large() -> None:
    item = BytesValue(value=b"x" * 1024 * 1024)

    assert page_token.fitting([]) == 0
    assert page_token.fitting([item] * 2) == 2
    assert page_token.fitting([item] * 5) == 2
    assert page_token.fitting([BytesValue(value=b"x" * 5 * 1024 * 1024), item]) == 1


def test_what_is_cut_off_a_page_begins_the_next_one() -> None:
    item = BytesValue(value=b"x" * 1024 * 1024)

    page, token = page_token.cut([item] * 4, ["a", "b", "c", "d"], "", "list")
    whole, after = page_token.cut([item], ["a"], "a", "list")

    assert (len(page), page_token.decode(token, "list")) == (2, "b")
    assert (len(whole), page_token.decode(after, "list")) == (1, "a")
    assert page_token.cut([], [], "", "list") == ([], "")
