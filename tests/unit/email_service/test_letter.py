from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_service.content import Content, Newsletter, Plain, RegistrationCancellation, RegistrationConfirmation
from email_service.email_record import Draft, Email
from email_service.letter import Letter, LetterWriter, delivery_address, parse_sender
from email_service.rendering import Renderer, subject_line
from tests.support.fake_clock import START

CONFIRMATION = RegistrationConfirmation(
    "Jürgen <b>", "Baton Marathon", "half marathon", "r-17", START, "Town Hall; Square"
)
WRITER = LetterWriter("Baton Marathon <marathon@example.org>", Renderer())


def letter(content: Content, *, to: str = "runner@example.org", key: str = "k-1") -> Letter:
    return WRITER.write(Email("e-1", Draft(key, to, content, "digest"), subject_line(content), START))


def parsed(letter: Letter) -> EmailMessage:
    message = message_from_bytes(letter.message, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_a_confirmation_says_everything_in_text_and_page() -> None:
    message = parsed(letter(CONFIRMATION))

    for text in (part(message, "plain"), part(message, "html")):
        for said in ("Jürgen", "Baton Marathon", "half marathon", "r-17", "Town Hall; Square", "September 2026"):
            assert said in text


def test_headers_come_from_settings_clock_and_key() -> None:
    message = parsed(letter(CONFIRMATION))

    assert message["From"] == "Baton Marathon <marathon@example.org>"
    assert message["To"] == "runner@example.org"
    assert message["Subject"] == "You are registered: Baton Marathon, half marathon"
    assert int(message["Date"].datetime.timestamp()) == START // 1_000_000
    assert message["Message-ID"] == parsed(letter(CONFIRMATION))["Message-ID"]
    assert message["Message-ID"] != parsed(letter(CONFIRMATION, key="k-2"))["Message-ID"]


def test_a_start_time_brings_a_calendar_file() -> None:
    (attachment,) = parsed(letter(CONFIRMATION)).iter_attachments()

    lines = str(attachment.get_content()).split("\r\n")
    assert attachment.get_content_type() == "text/calendar"
    assert "DTSTART:20260921T141320Z" in lines
    assert "SUMMARY:Baton Marathon\\, half marathon" in lines
    assert "LOCATION:Town Hall\\; Square" in lines


def test_without_start_and_location_nothing_is_said_of_them() -> None:
    message = parsed(letter(RegistrationConfirmation("Ann", "Race", "10 km", "r-1")))

    assert list(message.iter_attachments()) == []
    assert "Start" not in part(message, "plain")
    assert "Location" not in part(message, "html")


def test_what_a_caller_wrote_is_escaped_in_the_page_only() -> None:
    message = parsed(letter(CONFIRMATION))

    assert "Jürgen <b>" in part(message, "plain")
    assert "Jürgen &lt;b&gt;" in part(message, "html")


def test_the_other_contents_are_rendered() -> None:
    cancellation = parsed(letter(RegistrationCancellation("Ann", "Race", "r-1", "You asked for it.")))
    newsletter = parsed(letter(Newsletter("News", "First.\nSecond.", "https://example.org/u?a=1&b=2", "Ann")))
    plain = parsed(letter(Plain("Hello", ".\n..\nText")))

    assert "You asked for it." in part(cancellation, "plain")
    assert "https://example.org/u?a=1&b=2" in part(newsletter, "plain")
    assert 'href="https://example.org/u?a=1&amp;b=2"' in part(newsletter, "html")
    assert (plain["Subject"], part(plain, "plain").split()) == ("Hello", [".", "..", "Text"])


@pytest.mark.parametrize(
    "subject",
    [
        "Hi\r\nBcc: victim@example.org",
        "Hi\nBcc: victim@example.org",
        "=?utf-8?q?Hi=0D=0ABcc:_victim@example.org?=",
        "x=?utf-8?b?SGkNCkJjYzogdmljdGltQGV4YW1wbGUub3Jn?=",
        "Hi\x00\x0b\x85\u2028Bcc: victim@example.org",
    ],
)
def test_no_subject_makes_a_header_of_its_own(subject: str) -> None:
    message = parsed(letter(Plain(subject, "text")))

    assert message["Bcc"] is None
    assert len(message.get_all("Subject", [])) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_any_subject_and_body_make_a_message_that_reads_back(text: str) -> None:
    message = parsed(letter(Plain(text, text)))

    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"
    }  # fmt: skip
    assert len(message.keys()) == 8
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_the_message_is_ascii_in_lines_that_every_server_takes() -> None:
    sent = letter(Plain("Ünïcode " * 40, "ä" * 5_000 + "\n" + "x" * 5_000))

    assert sent.message.isascii()
    assert max(map(len, sent.message.split(b"\r\n"))) <= 998


def test_a_domain_beyond_ascii_goes_out_in_its_ascii_form() -> None:
    sent = letter(CONFIRMATION, to="runner@straße.example")

    assert (sent.recipient, sent.smtputf8) == ("runner@xn--strae-oqa.example", False)
    assert parsed(sent)["To"] == "runner@xn--strae-oqa.example"


def test_a_name_beyond_ascii_needs_smtputf8() -> None:
    sent = letter(CONFIRMATION, to="jürgen@example.org")

    assert (sent.recipient, sent.smtputf8) == ("jürgen@example.org", True)
    assert parsed(sent)["To"] == "jürgen@example.org"


@pytest.mark.parametrize("to", ['"a b"@example.org', "o'neil+x@example.org", '"a,b;c"@example.org', "A.B@EXAMPLE.org"])
def test_unusual_addresses_stay_one_recipient(to: str) -> None:
    header = parsed(letter(CONFIRMATION, to=to))["To"]

    assert len(header.addresses) == 1
    assert header.addresses[0].addr_spec.lower() == to.lower()


@pytest.mark.parametrize("to", ["=?utf-8?q?a=0D=0AB=3A_x?=@example.org", '"=?utf-8?q?a?="@example.org'])
def test_an_address_that_reads_as_an_encoded_word_is_refused(to: str) -> None:
    with pytest.raises(ValueError, match="must not contain"):
        delivery_address(to)


@pytest.mark.parametrize(
    "text", ["", "nobody", "a@", "@b", "x <a@b.org>\r\nBcc: c@d.org", "a@b.org, c@d.org", "ä@b.org"]
)
def test_a_sender_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be one address"):
        parse_sender(text)
