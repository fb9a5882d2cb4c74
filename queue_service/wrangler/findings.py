"""What an import finds to say: what stands in its way, and what the reader should know of what was written."""

from collections.abc import Sequence


class WranglerError(Exception):
    """The files cannot be used; ``problems`` names file, key, value and reason, ``notes`` what else was found."""

    def __init__(self, problems: Sequence[str], notes: Sequence[str] = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        self.notes = tuple(notes)


class Findings:
    """Problems and notes, in the order found."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []

    def problem(self, key: str, said: str) -> None:
        """Something for which the files cannot be used."""
        self.problems.append(f"{key}: {said}")

    def note(self, key: str, said: str) -> None:
        """Something that is written otherwise than it stands there, or not at all."""
        self.notes.append(f"{key}: {said}")
