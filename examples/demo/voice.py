"""What the demo says: chapters, sentences, and what happens, each line with its time and with who says so."""

import os
import sys
import textwrap
import time

WIDTH = 98
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_GREEN, _RED = "\x1b[32m", "\x1b[31m"
COLOURS = {"sign-up": "\x1b[32m", "broker": "\x1b[36m", "mail server": "\x1b[33m", "demo": "\x1b[35m"}


class Voice:
    """Speaks to a terminal in colours, to anything else without."""

    def __init__(self) -> None:
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the first word."""
        return time.monotonic() - self._begun

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._line("")
        self._line(self._in(_BOLD, title))
        self._line(self._in(_BOLD, "-" * len(title)))

    def say(self, text: str) -> None:
        """A short paragraph."""
        self._line(textwrap.fill(" ".join(text.split()), WIDTH))

    def show(self, text: str) -> None:
        """Lines as they stand in a file."""
        self._line(self._in(_DIM, textwrap.indent(text.strip("\n"), "    ")))

    def happens(self, who: str, what: str) -> None:
        """Something that was just seen, and who says so."""
        before = f"  {self.seconds:5.1f} s  {who:<13}"
        text = textwrap.fill(" ".join(what.split()), WIDTH, initial_indent=before, subsequent_indent=" " * len(before))
        self._line(text.replace(who, self._in(COLOURS[who], who), 1))

    def claim(self, sentence: str, *, holds: bool, found: str) -> None:
        """A claim, whether it holds, and what was found."""
        mark = self._in(_GREEN, "holds") if holds else self._in(_RED, "FAILS")
        self._line(f"  {mark}  {sentence}")
        if found:
            self._line(textwrap.fill(found, WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9))

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._coloured else text

    def _line(self, text: str) -> None:
        print(text, flush=True)
