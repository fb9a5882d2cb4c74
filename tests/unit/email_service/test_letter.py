import pytest

from email_service.content import Plain, RegistrationCancellation, RegistrationConfirmation
from email_service.letter import parse_sender
from tests.support.fake_clock import START
from tests.support.letters import (
    CANCELLATION,
    CONFIRMATION,
    EVERY_CONTENT,
    HEADERS,
    NEWSLETTER,
    PLAIN,
    calendar,
    letter,
    parsed,
    part,
)

LIST_HEADERS = {"List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"}


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


@pytest.mark.parametrize("content", EVERY_CONTENT, ids=lambda content: content.kind)
def test_every_header_is_there_once_and_no_other(content: object) -> None:
    message = parsed(letter(content))  # type: ignore[arg-type]

    assert sorted(message.keys()) == sorted(HEADERS | (LIST_HEADERS if content is NEWSLETTER else set()))


def test_a_start_time_brings_a_calendar_file() -> None:
    attachment = calendar(parsed(letter(CONFIRMATION)))

    assert attachment is not None
    lines = str(attachment.get_content()).split("\r\n")
    assert attachment.get_content_type() == "text/calendar"
    assert attachment.get_filename() == "race.ics"
    assert {"METHOD:PUBLISH", "DTSTART:20260921T141320Z", "LOCATION:Town Hall\\; Square"} <= set(lines)
    assert "SUMMARY:Baton Marathon\\, half marathon" in lines


def test_a_cancellation_takes_the_race_out_of_the_calendar() -> None:
    attachment = calendar(parsed(letter(CANCELLATION)))

    assert attachment is not None
    assert dict(attachment["Content-Type"].params)["method"] == "CANCEL"
    assert "METHOD:CANCEL" in str(attachment.get_content()).split("\r\n")
    assert "out of your calendar" in part(parsed(letter(CANCELLATION)), "plain")


@pytest.mark.parametrize(
    "content", [RegistrationConfirmation("Ann", "Race", "10 km", "r-1"), RegistrationCancellation("Ann", "Race", "r-1")]
)
def test_without_start_and_location_nothing_is_said_of_them(
    content: RegistrationConfirmation | RegistrationCancellation,
) -> None:
    message = parsed(letter(content))

    assert calendar(message) is None
    for said in ("Start", "Location", "calendar"):
        assert said not in part(message, "plain")
        assert said not in part(message, "html")


def test_the_other_contents_are_rendered() -> None:
    cancellation, newsletter, plain = (parsed(letter(content)) for content in (CANCELLATION, NEWSLETTER, PLAIN))

    assert "You asked for it." in part(cancellation, "plain")
    assert "half marathon" in part(cancellation, "html")
    assert newsletter["Subject"] == "The route is out"
    assert "https://example.org/u?a=1&b=2" in part(newsletter, "plain")
    assert 'href="https://example.org/u?a=1&amp;b=2"' in part(newsletter, "html")
    assert (plain["Subject"], part(plain, "plain").split()) == ("Hello", ["First.", "Second."])


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


@pytest.mark.parametrize(
    "text",
    [
        *("", "nobody", "a@", "@b", "x <a@b.org>\r\nBcc: c@d.org", "a@b.org, c@d.org", "ä@b.org"),
        '"=?utf-8?q?a=0d=0aBcc:_c@d.org?=" <a@b.org>',
    ],
)
def test_a_sender_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be one address"):
        parse_sender(text)
