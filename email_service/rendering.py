"""Contents to words: a subject line, and a text and a page from the templates beside this file."""

import re
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from email_service.content import Content
from email_service.web_address import web_address
from email_service.wording import one_line, several_lines

# How the fields that are more than a single line are made fit to be read.
_READABLE = {"body": several_lines, "reason": several_lines, "unsubscribe_url": web_address}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the reader sees."""

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
        self._templates.filters |= {"day_and_time": day_and_time, "blocks": blocks}

    def render(self, content: Content) -> Rendered:
        """One content in words; the text and the page say the same."""
        said = readable(content)
        text, html = (
            self._templates.get_template(f"{content.kind}.{form}").render(content=said) for form in ("txt", "html")
        )
        return Rendered(text, html)


def readable(content: Content) -> Content:
    """A content in which a name is one line, whatever its caller wrote."""
    said: dict[str, Any] = {}
    for field in fields(content):
        value = getattr(content, field.name)
        if isinstance(value, str):
            said[field.name] = _READABLE.get(field.name, one_line)(value)
    return replace(content, **said)


def subject_line(content: Content) -> str:
    """The subject as one line that cannot end the header it stands in."""
    # The standard library decodes encoded words in a value it is given, line ends inside them included
    # (CVE-2024-6923, open in 3.11.7), so none may be left in what a caller wrote.
    return one_line(content.subject).replace("=?", "= ?")


def blocks(text: str) -> list[list[str]]:
    """A text's paragraphs, each as its lines."""
    return [block.split("\n") for block in re.split(r"\n{2,}", text.strip("\n"))]


def utc(instant: int) -> datetime:
    """An instant as the standard library wants it for headers and calendars."""
    return _EPOCH + timedelta(microseconds=instant)


def day_and_time(instant: int) -> str:
    """An instant for a reader, who may live in any time zone."""
    moment = utc(instant)
    return f"{moment:%A}, {moment.day} {moment:%B %Y}, {moment:%H:%M} UTC"
