import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_service.web_address import web_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://example.org/u?a=1&b=%C3%BC#x", "https://example.org/u?a=1&b=%C3%BC#x"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/u", "http://[::1]:8080/u"),
        ("https://bücher.example:444/ü?q=ö", "https://xn--bcher-kva.example:444/%C3%BC?q=%C3%B6"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://例え。テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://ü:ö@example.org/", "https://%C3%BC:%C3%B6@example.org/"),
        ("https://example.org\\@evil.example/", "https://example.org%5C@evil.example/"),
        (
            "https://example.org/\x00\x7f\u202e\u200b`|{}^'",
            "https://example.org/%00%7F%E2%80%AE%E2%80%8B%60%7C%7B%7D%5E'",
        ),
        ("https://example.org/?a==?utf-8?q?x?=", "https://example.org/?a==%3Futf-8?q?x?="),
        ("https://example.org/=?utf-8?q?x?=", "https://example.org/%3D?utf-8?q?x?="),
        ("https://example.org/javascript:alert(1)", "https://example.org/javascript:alert(1)"),
    ],
)
def test_an_address_goes_out_in_ascii(url: str, address: str) -> None:
    assert web_address(url) == address
    assert web_address(address) == address


@pytest.mark.parametrize(
    "url",
    [
        *("", "https://", "https:///path", "javascript:alert(1)", "ftp://example.org", "HTTPS//example.org", "//x.org"),
        *(
            "https://ex\u202eample.org/",
            "https://bücher\uff0eexample\uff0fevil/",
            "https://\u2100.example/",
            "https://ü..example/",
        ),
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must (be an http|name a host)"):
        web_address(url)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=100))
def test_any_path_is_made_harmless(path: str) -> None:
    address = web_address(f"https://example.org/{path}")

    assert address.isascii()
    assert address.isprintable()
    assert "=?" not in address
    assert not set(address) & set(' <>"\\^`{|}')
