"""The numbers that Cloudflare takes in a wrangler file, with its own bounds, and durations as they are written here."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mesh.field_checks import shown
from queue_service.wrangler.config_file import Entry
from queue_service.wrangler.findings import Findings

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be; ``unit`` is empty for a count."""

    least: int
    most: int
    unit: str = ""

    def refusal(self, value: object) -> str:
        """What is wrong with a value; empty when nothing is."""
        if isinstance(value, int | float) and not isinstance(value, bool) and self._holds(value):
            return ""
        kind = f"a number of {self.unit}" if self.unit else "a whole number"
        given = "null" if value is None else shown(value)
        return f"must be {kind} from {self.least} to {self.most} at Cloudflare, is {given}"

    def _holds(self, value: float) -> bool:
        return self.least <= value <= self.most and (bool(self.unit) or value == int(value))


PRODUCER: Mapping[str, Bounds] = {"delivery_delay": Bounds(0, _DAY, "seconds")}
CONSUMER: Mapping[str, Bounds] = {
    "max_batch_size": Bounds(1, 100),
    "max_batch_timeout": Bounds(0, 60, "seconds"),
    "max_retries": Bounds(0, 100),
    "retry_delay": Bounds(0, _DAY, "seconds"),
    "max_concurrency": Bounds(1, 250),
    "visibility_timeout_ms": Bounds(0, _DAY // 2 * 1_000, "milliseconds"),
}


def read_numbers(entry: Entry, bounds: Mapping[str, Bounds], findings: Findings) -> dict[str, Any]:
    """The numbers in an entry that are sound; the others are problems."""
    numbers = {}
    for name, bound in bounds.items():
        if name not in entry.settings or (name == "max_concurrency" and entry.settings[name] is None):
            continue  # a null max_concurrency is Cloudflare's way to say "none set"
        value = entry.settings[name]
        if refusal := bound.refusal(value):
            findings.problem(f"{entry.key}.{name}", refusal)
        else:
            numbers[name] = value if bound.unit else int(value)
    return numbers


def seconds_text(seconds: float) -> str:
    """Seconds as a duration is written: ``5s``, ``2.5s``."""
    return f"{Decimal(str(seconds)).normalize():f}s"


def milliseconds_text(milliseconds: float) -> str:
    """Milliseconds as a duration is written, in seconds."""
    return f"{(Decimal(str(milliseconds)) / 1_000).normalize():f}s"
