"""What a caller wrote, made fit to be read: by people in a mail, and by programs in its headers and calendar file."""

import unicodedata

# Embeddings, overrides and isolates of the bidirectional algorithm (UAX 9): left open, they turn around what follows.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str) -> str:
    """A name or another single line: nothing in it ends the line or changes how the rest of it reads."""
    kept = (" " if _is_control(character) else character for character in text if character not in _TURNING)
    return " ".join("".join(kept).split())


def several_lines(text: str) -> str:
    """A text with every kind of line end as a newline, and no other control character but the tab."""
    return "\n".join(map(_printed, text.splitlines()))


def _printed(line: str) -> str:
    return "".join(" " if _is_control(character) and character != "\t" else character for character in line)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"
