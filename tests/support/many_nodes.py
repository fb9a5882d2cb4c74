"""Several brokers in one process on one PostgreSQL database, each a node of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mesh.channel import open_channel
from mesh.clock import SECOND
from queue_service.app import QueueApplication
from queue_service.nodes.database_clock import DatabaseClock
from queue_service.nodes.node import Node
from queue_service.storage.postgresql_nodes import Membership
from queue_service.storage.postgresql_sharing import SharedPostgresql
from queue_service.storage.sql import SqlStore
from tests.support.running import serving
from tests.support.running_broker import RunningBroker


@dataclass
class RunningNode(RunningBroker):
    """A broker with what makes it one of several."""

    node: Node | None = None
    membership: Membership | None = None
    sharing: SharedPostgresql | None = None

    @property
    def number(self) -> int:
        """What its transactions go by."""
        assert self.sharing is not None
        return self.sharing.node


@asynccontextmanager
async def running_node(url: str, name: str, *, silence: int = SECOND) -> AsyncIterator[RunningNode]:
    """Serve one more broker on the database."""
    store = SqlStore(url, keeps_time=True)
    assert isinstance(store.sharing, SharedPostgresql)
    membership = Membership(store.sharing.engine, name)
    node = Node(membership, store.sharing, DatabaseClock(), silence=silence)
    node.join()
    application = QueueApplication(store, (), node.clock, push_grace=0.2, node=node)
    async with serving(application, "127.0.0.1:0") as address, open_channel(address) as channel:
        yield RunningNode(channel, application, address, node, membership, store.sharing)
