"""Every kind of address that the contract lets through, on the envelope and in the To of the letter."""

from email import message_from_bytes, policy
from email.headerregistry import Address

import pytest

from email_service.letter import LetterWriter, delivery_address
from email_service.rendering import Renderer
from tests.support.letters import CONFIRMATION, letter, parsed

LONGEST = "a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".exm"

# The address as it is given, and as it goes out: its domain in ASCII always, its local part where it is ASCII.
ASCII = [
    ("runner@example.org", "runner@example.org"),
    ("A.B@EXAMPLE.org", "A.B@example.org"),
    ("o'neil+x@example.org", "o'neil+x@example.org"),
    ("runner@straße.example", "runner@xn--strae-oqa.example"),
    ("r@例え.テスト", "r@xn--r8jz45g.xn--zckzah"),
    ("r@xn--bcher-kva.example", "r@xn--bcher-kva.example"),
    ('"a b"@example.org', '"a b"@example.org'),
    ('"a,b;c"@example.org', '"a,b;c"@example.org'),
    ('"a@b"@bücher.example', '"a@b"@xn--bcher-kva.example'),
    ('"<a>(b)[c]:"@example.org', '"<a>(b)[c]:"@example.org'),
    ('"a\\"b\\\\c"@example.org', '"a\\"b\\\\c"@example.org'),
    ('"abc"@example.org', "abc@example.org"),
    ("a" * 64 + "@example.org", "a" * 64 + "@example.org"),
    (LONGEST, LONGEST),
]
BEYOND_ASCII = [
    ("jürgen@example.org", "jürgen@example.org"),
    ("jürgen@straße.example", "jürgen@xn--strae-oqa.example"),
    ('"jür gen"@example.org', '"jür gen"@example.org'),
    ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
    ("u\u0308@example.org", "ü@example.org"),
    ("ü" * 32 + "@" + ".".join(["b" * 60] * 3) + ".org", "ü" * 32 + "@" + ".".join(["b" * 60] * 3) + ".org"),
]


def recipients(message_to: object) -> list[str]:
    """The addresses of a To, whose octets beyond ASCII the standard library keeps as surrogates."""
    found = [address.addr_spec for address in message_to.addresses]  # type: ignore[attr-defined]
    return [address.encode("utf-8", "surrogateescape").decode() for address in found]


@pytest.mark.parametrize(("to", "address"), ASCII)
def test_an_address_with_an_ascii_form_goes_out_in_it(to: str, address: str) -> None:
    sent = letter(CONFIRMATION, to=to)

    assert (sent.recipient, sent.smtputf8) == (address, False)
    assert recipients(parsed(sent)["To"]) == [address]
    assert max(map(len, sent.message.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(("to", "address"), BEYOND_ASCII)
def test_a_local_part_beyond_ascii_needs_smtputf8(to: str, address: str) -> None:
    sent = letter(CONFIRMATION, to=to)

    assert (sent.recipient, sent.smtputf8) == (address, True)
    head = sent.message.split(b"\r\n\r\n", 1)[0].decode()
    assert f"\r\nTo: {address}\r\n" in head
    assert max(map(len, head.encode().split(b"\r\n"))) <= 998


@pytest.mark.parametrize("to", ["=?utf-8?q?a=0D=0AB=3A_x?=@example.org", '"=?utf-8?q?a?="@example.org'])
def test_an_address_that_reads_as_an_encoded_word_is_refused(to: str) -> None:
    with pytest.raises(ValueError, match="must not contain"):
        delivery_address(to)


@pytest.mark.parametrize(
    "to",
    [
        *("a@b.org, c@d.org", "a@b.org\r\nBcc: c@d.org", '"a\r\nb"@example.org', '"a\tb"@example.org', "a@[127.0.0.1]"),
        *("a@example", "a@ex\uff20ample.org", "x\u202e@example.org", "a@" + "ü" * 60 + ".example", "Ann <a@b.org>"),
    ],
)
def test_what_is_not_one_address_is_refused(to: str) -> None:
    with pytest.raises(ValueError, match=r"address|@-sign"):
        delivery_address(to)


@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("marathon@example.org", ""),
        ("Läufe in Köln <marathon@example.org>", "Läufe in Köln"),
        ('"Läufe, Köln; <x@y.org>" <marathon@example.org>', "Läufe, Köln; <x@y.org>"),
        ('"Marathon, Berlin" <marathon@example.org>', "Marathon, Berlin"),
        ("走る <marathon@example.org>", "走る"),
    ],
)
@pytest.mark.parametrize("to", ["runner@example.org", "jürgen@example.org"])
def test_a_sender_is_one_name_and_one_address(sender: str, name: str, to: str) -> None:
    sent = letter(CONFIRMATION, to=to, writer=LetterWriter(sender, Renderer()))

    header = message_from_bytes(sent.message, policy=policy.default)["From"]
    (found,) = header.addresses
    assert isinstance(found, Address)
    display_name = found.display_name.encode("utf-8", "surrogateescape").decode()
    assert (display_name, found.addr_spec) == (name, "marathon@example.org")
    assert sent.sender == "marathon@example.org"
