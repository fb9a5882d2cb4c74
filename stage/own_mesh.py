"""A mesh of one's own: the three services in a temporary folder, on free ports, with the settings they are given."""

import os
import random
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stage.processes import Processes, Service

# Below the ports that the system gives to outgoing connections: one of those could take the port of a killed service
# before the service comes back.
_PORTS = range(20_000, 32_000)
_TRIES = 100


@dataclass
class OwnMesh:
    """Where the services are, and what they log."""

    signup: str
    queue: str
    email: str
    processes: Processes
    log: list[str]
    """Lines of JSON, of all three as they came."""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on; raises RuntimeError when there seems to be none."""
    for _ in range(_TRIES):
        port = random.choice(_PORTS)  # noqa: S311  # a guess, no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port found in {_TRIES} tries")


@asynccontextmanager
async def own_mesh(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[OwnMesh]:
    """The services, healthy; stopped at the end.

    Args:
        folder: for their data; its path must leave room for a unix socket's.
        settings: beside the addresses; no others are inherited from this process's environment.

    Raises:
        RuntimeError: one could not start; its last lines are in the text.
    """
    signup, queue = (f"127.0.0.1:{free_port()}" for _ in range(2))
    email = f"unix:{folder / 'email.sock'}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    own = {"BATON_DATA_DIR": str(folder), "BATON_QUEUE_LISTEN": queue, "BATON_SIGNUP_LISTEN": signup}
    services = [Service("queue", (queue,)), Service("email", (email,)), Service("signup", (signup,))]
    log: list[str] = []
    processes = Processes(services, {**inherited, **own, **settings}, Path.cwd(), lambda _, line: log.append(line))
    try:
        try:
            await processes.start()
        except RuntimeError as error:
            raise RuntimeError("\n".join([str(error), *log[-20:]])) from error
        yield OwnMesh(signup, queue, email, processes, log)
    finally:
        await processes.stop()


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that goes when its ``with`` ends; its name is short, for the sake of unix sockets in it."""
    return tempfile.TemporaryDirectory(prefix="baton-", ignore_cleanup_errors=True)
