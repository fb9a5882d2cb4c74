"""No text of a caller's makes, ends or changes a header, or a part of the message."""

import re
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baton.email.v1 import email_pb2
from email_service.content import CONTENTS, Content, Newsletter
from tests.support.calendar_lines import properties
from tests.support.fake_clock import START
from tests.support.letters import HEADERS, SENDER, calendar, letter, parsed

LIST_HEADERS = {"List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"}
BAIT = st.sampled_from(
    [
        *("\r\nBcc: victim@example.org\r\n", "\n\n<h1>", "\r", "\0", "\x0b\x0c\x1c\x85\u2028\u2029", "\u202e\u2066"),
        *("=?utf-8?q?=0D=0ABcc:_v@example.org?=", "=?utf-8?b?DQpCY2M6IHZAZXhhbXBsZS5vcmc=?=", "=?x?q?", "?="),
        *(
            "--===============",
            "\r\n--\r\n",
            "\r\n.\r\n",
            "Content-Type: text/html",
            '">',
            "{{ 7*7 }}",
            "{% if %}",
            "\\",
        ),
        *("END:VEVENT\r\n", "\r\nATTENDEE:mailto:v@example.org\r\n", "\ufeff", "\u200b", "\U0001f3c3", "x" * 1_000),
    ]
)
TEXT = st.lists(BAIT | st.text(max_size=30), min_size=1, max_size=5).map("".join)
URL = TEXT.map(lambda text: "https://example.org/" + re.sub(r'[\s<>"]', "", text))


@st.composite
def contents(draw: st.DrawFn) -> Content:
    content = CONTENTS[draw(st.sampled_from(sorted(CONTENTS)))]
    special = {"start_time": st.none() | st.just(START), "unsubscribe_url": URL}
    return content(**{field.name: draw(special.get(field.name, TEXT)) for field in fields(content)})  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(contents(), TEXT)
def test_whatever_is_written_the_message_is_made_of_our_headers_and_parts(content: Content, key: str) -> None:
    message = parsed(letter(content, key=key))

    expected = HEADERS | (LIST_HEADERS if isinstance(content, Newsletter) else set())
    assert sorted(message.keys()) == sorted(expected)
    assert (message["From"], message["To"]) == (SENDER, "runner@example.org")
    assert [address.addr_spec for address in message["To"].addresses] == ["runner@example.org"]
    assert not re.search(r"[\x00-\x1f\x7f]", message["Subject"])
    leaves = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    dated = getattr(content, "start_time", None) is not None
    assert leaves == ["text/plain", "text/html", *(["text/calendar"] if dated else [])]


@settings(max_examples=200, deadline=None)
@given(contents())
def test_whatever_is_written_the_calendar_file_has_our_properties(content: Content) -> None:
    file = calendar(parsed(letter(content)))

    if file is not None:
        names = [name for name, _, _ in properties(file.get_content())]
        assert names.count("END") == 2
        assert "ATTENDEE" not in names


@settings(max_examples=300, deadline=None)
@given(URL)
def test_an_unsubscribe_address_is_one_harmless_word(url: str) -> None:
    sent = letter(Newsletter("Head", "body", url))

    header = re.sub(r"\s", "", str(parsed(sent)["List-Unsubscribe"]))
    assert re.fullmatch(r"<https://example\.org/[!#-;=?-~]*>", header)
    assert b"=?" not in sent.message.split(b"\r\n\r\n", 1)[0].partition(b"List-Unsubscribe:")[2].partition(b"\r\nL")[0]


@pytest.mark.parametrize("kind", sorted(CONTENTS))
def test_a_lone_surrogate_is_stopped_by_the_contract(kind: str) -> None:
    message = getattr(email_pb2.Email(), kind)
    texts = [field.name for field in message.DESCRIPTOR.fields if field.cpp_type == field.CPPTYPE_STRING]

    assert texts
    for name in texts:
        with pytest.raises((UnicodeEncodeError, ValueError)):
            setattr(message, name, "\ud800")
