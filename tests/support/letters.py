"""Letters as a mail program sees them: written by the service's own writer, read by the standard library."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser

from email_service.content import Content, Newsletter, Plain, RegistrationCancellation, RegistrationConfirmation
from email_service.email_record import Draft, Email
from email_service.letter import Letter, LetterWriter
from email_service.rendering import Renderer, subject_line
from tests.support.fake_clock import START

SENDER = "Baton Marathon <marathon@example.org>"
WRITER = LetterWriter(SENDER, Renderer())
CONFIRMATION = RegistrationConfirmation(
    "Jürgen <b>", "Baton Marathon", "half marathon", "r-17", START, "Town Hall; Square"
)
CANCELLATION = RegistrationCancellation("Jürgen", "Baton Marathon", "r-17", "You asked for it.", "half marathon", START)
NEWSLETTER = Newsletter("The route is out", "It is flat.\n\nMostly.", "https://example.org/u?a=1&b=2", "Ann")
PLAIN = Plain("Hello", "First.\nSecond.")
EVERY_CONTENT: tuple[Content, ...] = (CONFIRMATION, CANCELLATION, NEWSLETTER, PLAIN)

# What every mail has, beside what its content adds.
HEADERS = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}


def letter(
    content: Content, *, to: str = "runner@example.org", key: str = "k-1", writer: LetterWriter = WRITER
) -> Letter:
    """The letter of a content."""
    email = Email("e-1", Draft(key, to, content, "digest"), subject_line(content), START)
    return writer.write(email)


def parsed(letter: Letter) -> EmailMessage:
    """The letter as the standard library reads it, without a complaint."""
    message = message_from_bytes(letter.message, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert [part.defects for part in message.walk() if part.defects] == []
    return message


def part(message: EmailMessage, kind: str) -> str:
    """The text (``plain``) or the page (``html``)."""
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def calendar(message: EmailMessage) -> EmailMessage | None:
    """The calendar file, if the message has one."""
    files = list(message.iter_attachments())
    assert len(files) <= 1
    return files[0] if files else None


class Page(HTMLParser):
    """What a reader sees of a page, and what the page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen, self.tags, self.values = "", set[str](), list[str]()
        self._links: list[str] = []
        self._body = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.values += [f"{name}={value}" for name, value in attrs]
        self._body = self._body or tag == "body"
        self.seen += " "
        if tag == "a":
            self._links.append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        self.seen += f": {self._links.pop()} " if tag == "a" else " "

    def handle_data(self, data: str) -> None:
        self.seen += data if self._body else ""
