"""A wrangler file: its producers and consumers of queues, for one environment."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import json5

from mesh.field_checks import shown
from queue_service.wrangler.findings import Findings, WranglerError

#: The spellings of Cloudflare's local simulator, by wrangler's.
_SIMULATOR = {"queueName": "queue", "deliveryDelay": "delivery_delay"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A producer or consumer as it stands in a file; ``key`` says where."""

    key: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class QueueSection:
    """What a file says about queues."""

    producers: tuple[Entry, ...] = ()
    consumers: tuple[Entry, ...] = ()


def read_section(path: Path, environment: str, findings: Findings) -> QueueSection:
    """The queues of a file, at its top level or in a named environment. What is wrong goes into the findings."""
    try:
        config = _parse(path)
    except WranglerError as error:
        findings.problems += error.problems
        return QueueSection()
    chosen = _choose(config, str(path), environment, findings)
    if chosen is None:
        return QueueSection()
    key, queues = chosen
    for unknown in sorted(queues.keys() - {"producers", "consumers"}):
        findings.note(f"{key}.{unknown}", f"is not known at Cloudflare and left out (it is {shown(queues[unknown])})")
    return QueueSection(
        tuple(_producers(queues.get("producers"), f"{key}.producers", findings)),
        tuple(_consumers(queues.get("consumers"), f"{key}.consumers", findings)),
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix not in (".json", ".jsonc"):
            raise WranglerError([f"{path}: must be named .toml, .json or .jsonc, as wrangler's files are"])
        config = json5.loads(text, allow_duplicate_keys=False)
    except (OSError, ValueError, RecursionError) as error:
        said = str(error).replace("<string>:", "line ", 1)
        raise WranglerError([f"{path}: {said}"]) from error
    if not isinstance(config, dict):
        raise WranglerError([f"{path}: must be an object: {{ ... }}"])
    return config


def _choose(
    config: Mapping[str, Any], path: str, environment: str, findings: Findings
) -> tuple[str, Mapping[str, Any]] | None:
    """The queues that count, and where they stand: wrangler lets no environment inherit those of the top level."""
    environments = config.get("env") or {}
    if not isinstance(environments, dict) or not all(isinstance(table, dict) for table in environments.values()):
        findings.problem(f"{path}: env", f"must be tables: [env.NAME]; is {shown(environments)}")
        return None
    if not environment:
        for name, table in environments.items():
            if table.get("queues"):
                findings.note(f"{path}: env.{name}.queues", f"is left out; --env {name} writes it in place of the rest")
        return _queues(config, path, "queues", "", findings)
    if environment not in environments:
        nearest = difflib.get_close_matches(environment, environments, n=1)
        named = ", ".join(environments) or "none"
        findings.problem(
            f"{path}: env.{environment}",
            f"is not there; there is {named}" + (f"; did you mean {nearest[0]}?" if nearest else ""),
        )
        return None
    inherits = "; an environment does not inherit those of the top level" if config.get("queues") else ""
    return _queues(environments[environment], path, f"env.{environment}.queues", inherits, findings)


def _queues(
    table: Mapping[str, Any], path: str, key: str, remark: str, findings: Findings
) -> tuple[str, Mapping[str, Any]] | None:
    queues = table.get("queues") or {}
    if not isinstance(queues, dict):
        findings.problem(f"{path}: {key}", f"must be a table with producers and consumers, is {shown(queues)}")
    elif not queues.get("producers") and not queues.get("consumers"):
        findings.problem(f"{path}: {key}", f"has no producers and no consumers{remark}")
    else:
        return f"{path}: {key}", queues
    return None


def _producers(value: Any, key: str, findings: Findings) -> Iterator[Entry]:
    """A list of tables; or, as the simulator takes them, a list of names, or names or tables by binding."""
    if isinstance(value, dict) and isinstance(value.get("queue"), str) and isinstance(value.get("binding"), str):
        findings.problem(key, "is a single table; write [[queues.producers]]")
        return
    pairs: list[tuple[str, Any, dict[str, Any]]] = []
    if isinstance(value, dict):
        pairs = [(f"{key}.{binding}", item, {"binding": binding}) for binding, item in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{key}[{index}]", item, {}) for index, item in enumerate(value)]
    elif value is not None:
        findings.problem(key, f"must be tables: [[queues.producers]]; is {shown(value)}")
    for where, item, binding in pairs:
        if isinstance(item, str):
            yield Entry(where, {"queue": item, "binding": item, **binding})
        elif isinstance(item, dict):
            yield Entry(where, {_SIMULATOR.get(name) or name: setting for name, setting in item.items()} | binding)
        else:
            findings.problem(where, f"must be a table, is {shown(item)}")


def _consumers(value: Any, key: str, findings: Findings) -> Iterator[Entry]:
    if value is None:
        return
    if not isinstance(value, list):
        findings.problem(key, f"must be tables: [[queues.consumers]]; is {shown(value)}")
        return
    for index, item in enumerate(value):
        if isinstance(item, dict):
            yield Entry(f"{key}[{index}]", item)
        else:
            findings.problem(f"{key}[{index}]", f"must be a table, is {shown(item)}")
