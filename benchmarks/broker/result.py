"""A run as it is kept: what was measured, on what, by which command."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.broker.measurement import Measurement, Summary, summaries
from benchmarks.broker.plan import Plan
from benchmarks.broker.targets import found


@dataclass(frozen=True)
class Result:
    """Everything about a run.

    Attributes:
        machine: `benchmarks.machine.machine`, how quick the disk is, and which versions the peers are of.
        left_out: a sentence for each who was not measured, or not in every round.
    """

    date: str
    command: str
    machine: dict[str, str]
    seconds: float
    plan: Plan
    measurements: tuple[Measurement, ...]
    left_out: tuple[str, ...] = ()

    def summaries(self) -> list[Summary]:
        """A line for each contestant."""
        return summaries(self.measurements)

    def as_json(self) -> dict[str, Any]:
        """What is written."""
        ratios = [
            {
                **asdict(target),
                "rounds": asdict(ratio),
                "verdict": target.verdict(ratio),
            }
            for target, ratio in found(self.measurements)
        ]
        return {**asdict(self), "summaries": [asdict(each) for each in self.summaries()], "ratios": ratios}

    def write(self, path: Path) -> None:
        """Put it into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")
