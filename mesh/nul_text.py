"""Text columns that keep every string that protobuf carries: PostgreSQL's own refuse U+0000.

There, and only there, it is written as a backslash and a zero, and a backslash as two. What is the same stays the same,
so such a column can be a key; its order is not that of the strings.
"""

import re
from typing import Any

import sqlalchemy as sa

_WRITTEN = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"0": "\0", "\\": "\\"}


def written(text: str) -> str:
    """The text as PostgreSQL can keep it."""
    if "\0" in text or "\\" in text:
        return text.replace("\\", "\\\\").replace("\0", "\\0")
    return text


def meant(text: str) -> str:
    """The text that was written so."""
    return _WRITTEN.sub(lambda found: _MEANT[found[1]], text) if "\\" in text else text


class NulText(sa.TypeDecorator[str]):
    """A PostgreSQL text that may hold U+0000."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """On its way in."""
        return None if value is None else written(value)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> str | None:
        """On its way out."""
        return None if value is None else meant(value)


def any_text() -> sa.Text:
    """The type of a column for text from outside: every database keeps all of it."""
    return sa.Text().with_variant(NulText(), "postgresql")
