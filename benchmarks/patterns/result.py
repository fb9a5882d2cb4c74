"""A run as it is kept: what was measured, on what, by which command."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.patterns.measurement import Measurement, Summary, summary
from benchmarks.patterns.plan import MODES, Plan


@dataclass(frozen=True)
class Result:
    """Everything about a run."""

    date: str
    command: str
    machine: dict[str, str]
    seconds: float
    plan: Plan
    measurements: tuple[Measurement, ...]

    def summaries(self) -> list[Summary]:
        """A line for each mode."""
        return [summary([each for each in self.measurements if each.mode == mode]) for mode in MODES]

    def as_json(self) -> dict[str, Any]:
        """What is written."""
        return {**asdict(self), "summaries": [asdict(each) for each in self.summaries()]}

    def write(self, path: Path) -> None:
        """Put it into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")
