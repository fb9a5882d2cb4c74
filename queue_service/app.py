"""The composition root: the one place that picks a store, a clock and the queues."""

import socket
from collections.abc import Callable, Sequence
from functools import partial

import grpc

from baton.queue.v1 import consumer_service_pb2, producer_service_pb2, queue_service_pb2
from baton.queue.v1.consumer_service_pb2_grpc import add_ConsumerServiceServicer_to_server
from baton.queue.v1.producer_service_pb2_grpc import add_ProducerServiceServicer_to_server
from baton.queue.v1.queue_service_pb2_grpc import add_QueueServiceServicer_to_server
from mesh.clock import Clock, SystemClock
from mesh.database import DatabaseError
from mesh.errors import BatonError
from mesh.field_rules import FieldRules
from mesh.identifier import Identifiers
from mesh.program import StartError
from queue_service.broker import Broker
from queue_service.catalog import Catalog
from queue_service.consumer_servicer import ConsumerServicer
from queue_service.declared_queues import DeclarationError, read_declared
from queue_service.lease_id import LeaseIds
from queue_service.nodes.alone import Alone, Surroundings
from queue_service.nodes.database_clock import DatabaseClock
from queue_service.nodes.node import Node
from queue_service.producer_servicer import ProducerServicer
from queue_service.push.pushers import Pushers
from queue_service.queue_definition import Queue
from queue_service.queue_servicer import QueueServicer
from queue_service.redriver import Redriver
from queue_service.settings import QueueSettings
from queue_service.storage.base import MessageStore
from queue_service.storage.postgresql_nodes import Membership
from queue_service.storage.postgresql_sharing import SharedPostgresql
from queue_service.storage.sql import SqlStore
from queue_service.writer import Writer

#: Seconds that pushes in flight get when the broker stops; what they leave is released at no cost.
PUSH_GRACE = 5.0


class QueueApplication:
    """The broker as `mesh.server` runs it. To be made on the event loop that serves it.

    Args:
        store: where messages are kept; closed with the application.
        declared: queues to make at start.
        clock: the time.
        push_grace: seconds that pushes in flight get at the end.
        node: this process among others on the same store.
    """

    packages: Sequence[str] = ("queue",)

    def __init__(
        self,
        store: MessageStore,
        declared: Sequence[Queue],
        clock: Clock,
        *,
        push_grace: float = PUSH_GRACE,
        node: Alone | None = None,
    ) -> None:
        self._declared, self._node = declared, node or Alone()
        self._clock, self._push_grace = clock, push_grace
        identifiers = Identifiers(clock, after=store.newest_id)
        self._writer = Writer(store)
        self._catalog = Catalog(self._writer, clock, self._node.spread)
        self.broker = Broker(
            self._catalog, self._writer, LeaseIds(store.secret), clock, identifiers, shared=node is not None
        )
        self.broker.leasing.tell = self._node.tell_ready
        self._rules = FieldRules(self.packages)
        self._pushers = Pushers(self.broker, self._rules, clock, identifiers, self._node.duties)
        self._redriver = Redriver(self.broker, self._writer, clock, identifiers, self._node.duties, self._node.spread)

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Add the three services."""
        add_QueueServiceServicer_to_server(
            QueueServicer(self.broker, self._redriver, self._rules, self._pushers.health), server
        )
        add_ProducerServiceServicer_to_server(ProducerServicer(self.broker, self._rules), server)
        add_ConsumerServiceServicer_to_server(ConsumerServicer(self.broker, self._rules, self._clock), server)
        files = (queue_service_pb2, producer_service_pb2, consumer_service_pb2)
        return [service.full_name for file in files for service in file.DESCRIPTOR.services_by_name.values()]

    async def start(self) -> None:
        """Load the queues, make the declared ones, end what is over, begin to push.

        Raises:
            StartError: the declared queues contradict each other or those that are there.
        """
        self._catalog.load()
        await self._node.start(self._surroundings())
        try:
            await self._catalog.declare(self._declared)
        except BatonError as error:
            raise StartError([error.message]) from error
        await self.broker.start()
        self._pushers.start()
        self._redriver.start()

    async def drain(self) -> None:
        """Answer waiting pulls, end pushes; what they leave goes back at no cost."""
        self.broker.drain()
        self._node.drain()
        await self._redriver.stop()
        await self._pushers.stop(self._push_grace)
        await self._node.hand_over()

    async def close(self) -> None:
        """Finish what was accepted and close the store."""
        self._node.drain()
        await self._redriver.stop()
        await self._pushers.stop(0)
        await self.broker.stop()
        await self._writer.finish()
        await self._node.leave()
        await self._writer.close()

    def _surroundings(self) -> Surroundings:
        leasing = self.broker.leasing
        return Surroundings(
            version=lambda: self._writer.version,
            refresh=self._writer.refresh,
            look=self.broker.look,
            ready=leasing.heard,
            share=leasing.share_rates,
            waited_for=leasing.waited_for,
            begin_anew=self.broker.cut_off,
        )


def build(
    settings: QueueSettings, *, clock: Clock | None = None, open_store: Callable[[str], MessageStore] | None = None
) -> QueueApplication:
    """The broker that the settings describe.

    Raises:
        StartError: the declared queues or the database cannot be used.
    """
    try:
        declared = read_declared(settings.config, settings.services, FieldRules(("queue",)))
        store = (open_store or partial(SqlStore, disk_reserve=settings.disk_reserve, keeps_time=True))(
            settings.store_url
        )
        node = _node(store, settings)
    except DeclarationError as error:
        raise StartError(error.problems) from error
    except DatabaseError as error:
        raise StartError([str(error)]) from error
    return QueueApplication(store, declared, clock or (node.clock if node else SystemClock()), node=node)


def _node(store: MessageStore, settings: QueueSettings) -> Node | None:
    """This process among the nodes of a PostgreSQL database; an SQLite file has only ever one."""
    if not isinstance(store, SqlStore) or not isinstance(store.sharing, SharedPostgresql):
        return None
    place = f"{socket.gethostname()} {','.join(settings.listen)}"
    node = Node(Membership(store.sharing.engine, place), store.sharing, DatabaseClock())
    try:
        node.join()
    except BatonError as error:
        store.close()
        raise DatabaseError("the database cannot be used") from error
    return node
