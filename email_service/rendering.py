"""Contents to words: a subject line, a text and a page, from the templates beside this file."""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from email_service.content import Content

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the reader sees."""

    subject: str
    text: str
    html: str


class Renderer:
    """The templates, compiled on first use; a name that a template misspells is an error, not an empty string."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("email_service"),
            autoescape=select_autoescape(["html"], default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._templates.filters["day_and_time"] = day_and_time

    def render(self, content: Content) -> Rendered:
        """One content in words."""
        text, html = (
            self._templates.get_template(f"{content.kind}.{form}").render(content=content) for form in ("txt", "html")
        )
        return Rendered(subject_line(content), text, html)


def subject_line(content: Content) -> str:
    """The subject as one line that cannot end the header it stands in."""
    text = "".join(" " if unicodedata.category(character) == "Cc" else character for character in content.subject)
    # The standard library decodes encoded words in a value it is given, line ends inside them included
    # (CVE-2024-6923, open in 3.11.7), so none may be left in what a caller wrote.
    return " ".join(text.split()).replace("=?", "= ?")


def utc(instant: int) -> datetime:
    """An instant as the standard library wants it for headers and calendars."""
    return _EPOCH + timedelta(microseconds=instant)


def day_and_time(instant: int) -> str:
    """An instant for a reader, who may live in any time zone."""
    moment = utc(instant)
    return f"{moment:%A}, {moment.day} {moment:%B %Y}, {moment:%H:%M} UTC"
