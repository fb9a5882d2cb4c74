"""An email in the form a mail server takes: envelope and message, built by the standard library, never by string."""

from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses
from hashlib import sha256

from email_service.bulk_headers import WholeHeader, bulk_headers
from email_service.calendar_file import calendar_file, method_of
from email_service.content import Newsletter, RegistrationCancellation, RegistrationConfirmation
from email_service.email_record import Email
from email_service.rendering import Renderer, utc
from mesh.email_address import validated


@dataclass(frozen=True, slots=True)
class Letter:
    """A message and its envelope; ``smtputf8`` when the recipient's address has no ASCII form (RFC 6531)."""

    email_id: str
    created_at: int
    sender: str
    recipient: str
    smtputf8: bool
    message: bytes


class LetterWriter:
    """Writes letters from one sender."""

    def __init__(self, sender: str, renderer: Renderer) -> None:
        self._sender, self._renderer = parse_sender(sender), renderer

    def write(self, email: Email) -> Letter:
        """The letter of an email; the same Message-ID and Date every time, so that a receiver knows a repeat."""
        recipient = delivery_address(email.draft.to)
        message = self._message(email, recipient)
        smtputf8 = not recipient.isascii()
        form = (policy.SMTPUTF8 if smtputf8 else policy.SMTP).clone(cte_type="7bit")
        sender = self._sender.addr_spec
        return Letter(email.email_id, email.created_at, sender, recipient, smtputf8, message.as_bytes(policy=form))

    def _message(self, email: Email, recipient: str) -> EmailMessage:
        rendered = self._renderer.render(email.draft.content)
        message = EmailMessage(policy.SMTP.clone(cte_type="7bit"))
        message["From"] = self._sender
        message["To"] = Address(addr_spec=recipient) if recipient.isascii() else recipient
        message["Subject"] = email.subject
        message["Date"] = utc(email.created_at)
        identity = message_id(email.draft.idempotency_key, self._sender.domain)
        message["Message-ID"] = WholeHeader("Message-ID", identity)
        message["Auto-Submitted"] = "auto-generated"
        if isinstance(email.draft.content, Newsletter):
            for header in bulk_headers(email.draft.content, self._sender.domain):
                message[header.name] = header
        message.set_content(rendered.text)
        message.add_alternative(rendered.html, subtype="html")
        self._add_calendar_file(message, email)
        return message

    def _add_calendar_file(self, message: EmailMessage, email: Email) -> None:
        content = email.draft.content
        if isinstance(content, RegistrationConfirmation | RegistrationCancellation) and content.start_time is not None:
            text = calendar_file(content, content.start_time, self._sender, email.created_at)
            form = {"charset": "utf-8", "method": method_of(content)}
            message.add_attachment(text.encode(), "text", "calendar", filename="race.ics", params=form)


def message_id(idempotency_key: str, domain: str) -> str:
    """The Message-ID of a key: stable over repeats and restarts, and telling nothing about the key."""
    return f"<{sha256(idempotency_key.encode()).hexdigest()[:40]}@{domain}>"


def parse_sender(text: str) -> Address:
    """A sender's name and address; raises ValueError saying what is allowed."""
    try:
        ((name, address),) = getaddresses([text])
        found = Address(name, addr_spec=address)
    except (ValueError, IndexError, MessageError):
        found = Address()
    addressed = found.username and found.domain and found.addr_spec.isascii()
    if not addressed or not text.isprintable() or "=?" in text:
        raise ValueError("must be one address, such as Baton Marathon <marathon@example.org>")
    return found


def delivery_address(to: str) -> str:
    """An address in ASCII, its local part only where it is; raises ValueError for one no header can carry."""
    if "=?" in to:  # the standard library would read an encoded word, as in rendering.subject_line
        raise ValueError("must not contain =?")
    checked = validated(to)
    return checked.ascii_email or f"{checked.local_part}@{checked.ascii_domain}"
