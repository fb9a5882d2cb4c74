import pytest

from signup_service.registration import Distance, Runner


def key(email: str) -> str:
    return Runner("Ada", "Lovelace", email, "", Distance.MARATHON).email_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ade\u0301le@example.com", "ad\u00e9le@example.com"),
        ("ada@b\u00fccher.example", "ada@xn--bcher-kva.example"),
        ("ada@B\u00dcCHER.example", "ada@b\u00fccher.example"),
    ],
)
def test_one_address_written_in_two_ways_is_one_address(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.com", "eda@example.com"),
        ("stra\u00dfe@example.com", "strasse@example.com"),
        ("a@b.example", "a@c.example"),
    ],
)
def test_two_addresses_stay_two(one: str, other: str) -> None:
    assert key(one) != key(other)


def test_a_domain_that_no_encoding_knows_is_compared_as_it_stands() -> None:
    assert key(f"ada@{'x' * 70}.example") == f"ada@{'x' * 70}.example"
