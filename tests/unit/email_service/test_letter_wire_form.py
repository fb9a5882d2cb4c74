"""The octets of a letter: lines that every server takes, encodings that bring back what was written."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_service.content import Content, Plain
from tests.support.letters import EVERY_CONTENT, NEWSLETTER, letter, parsed, part

ENDINGS = re.compile(rb"\r\n|\r|\n")


@pytest.mark.parametrize("content", EVERY_CONTENT, ids=lambda content: content.kind)
def test_lines_are_short_and_end_in_crlf(content: Content) -> None:
    message = letter(content).message

    assert message.isascii()
    assert set(ENDINGS.findall(message)) == {b"\r\n"}
    assert max(map(len, message.split(b"\r\n"))) <= 78
    assert message.endswith(b"\r\n")


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=2_000))
def test_any_plain_mail_is_ascii_in_lines_of_78(subject: str, body: str) -> None:
    message = letter(Plain(subject, body)).message

    assert message.isascii()
    assert b"\0" not in message
    assert set(ENDINGS.findall(message)) == {b"\r\n"}
    assert max(map(len, message.split(b"\r\n"))) <= 78


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=600))
def test_a_body_reads_back_as_it_was_written(line: str) -> None:
    body = f"{line}\n{line} \n.\n..\nFrom me\n-- \n{line * 3}"

    assert part(parsed(letter(Plain("Hi", body))), "plain") == f"{body}\n"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ("plain words", "7bit"),
        ("trailing  \nspace", "7bit"),
        ("x" * 5_000, "quoted-printable"),
        ("für alle", "quoted-printable"),
        ("走る人へ " * 100, "base64"),
    ],
)
def test_an_encoding_is_chosen_by_what_is_written(body: str, encoding: str) -> None:
    message = parsed(letter(Plain("Hi", body)))

    text = message.get_body(("plain",))
    assert text is not None
    assert text["Content-Transfer-Encoding"] == encoding
    assert text.get_content_charset() == "utf-8"
    assert part(message, "plain") == f"{body}\n"


@pytest.mark.parametrize(
    "subject", ["Ünïcode " * 40, "走る" * 120, "x" * 400, "🏃🏽‍♀️" * 60, "a " * 200, "Grüße, (Läufer); <alle>: [10]"]
)
def test_a_long_subject_is_folded_and_reads_back(subject: str) -> None:
    sent = letter(Plain(subject, "text"))

    assert parsed(sent)["Subject"] == " ".join(subject.split())
    assert max(map(len, sent.message.split(b"\r\n"))) <= 78


@pytest.mark.parametrize("length", [60, 500, 2_000])
def test_an_unsubscribe_address_is_never_made_an_encoded_word(length: int) -> None:
    address = "https://example.org/u/" + "t" * (length - 22)
    sent = letter(type(NEWSLETTER)("Head", "body", address))

    head = sent.message.split(b"\r\n\r\n", 1)[0]
    assert b"=?" not in head
    assert max(map(len, head.split(b"\r\n"))) <= 998
    # White space within the brackets is ignored (RFC 2369).
    assert re.sub(r"\s", "", str(parsed(sent)["List-Unsubscribe"])) == f"<{address}>"
