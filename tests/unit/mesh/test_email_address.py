import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.email_address import mailbox


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ade\u0301le@example.com", "ad\u00e9le@example.com"),
        ("ada@stra\u00dfe.example", "ada@xn--strae-oqa.example"),
        ('"ada"@example.com', "ada@example.com"),
        ('"ada lovelace"@example.com', '"ada lovelace"@example.com'),
        ("\u0391\u03a3@example.com", "\u03b1\u03c3@example.com"),
        ("\u0130@example.com", "i\u0307@example.com"),
        ("No Address", "no address"),
    ],
)
def test_an_address_is_compared_as(address: str, expected: str) -> None:
    assert mailbox(address) == expected


@given(st.one_of(st.text(), st.emails()))
def test_any_text_is_compared_in_one_form(text: str) -> None:
    assert mailbox(mailbox(text)) == mailbox(text)
