"""A file of declared queues like the project's own, with shorter times, so that tests need not wait for long ones."""

import json
import tomllib
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT

CONFIRMATIONS = "registration-confirmations"
REPORTS = "email-reports"

_DECLARED = ROOT / "queue_service" / "queues.toml"


def write_queue_file(path: Path, *, batch: int = 10, linger: str = "200ms", visibility: str = "30s") -> Path:
    """The project's queues; confirmations go out in batches of ``batch``, each waiting for ``linger`` to fill up."""
    queues = tomllib.loads(_DECLARED.read_text(encoding="utf-8"))["queues"]
    for queue in queues:
        queue["consumer"] |= {"max_batch_timeout": "100ms", "visibility_timeout": visibility}
        queue["consumer"]["retry_policy"]["initial_delay"] = "500ms"
    confirmations = next(queue["consumer"] for queue in queues if queue["name"] == CONFIRMATIONS)
    confirmations |= {"max_batch_size": batch, "max_batch_timeout": linger}
    path.write_text(f"queues = [{', '.join(_toml(queue) for queue in queues)}]\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
