"""The composition root: the only place that picks a store, a transport and a clock."""

from collections.abc import Sequence

import grpc
from google.protobuf.descriptor import FileDescriptor

from baton.email.v1.email_service_pb2 import DESCRIPTOR as EMAIL_FILE
from baton.email.v1.email_service_pb2_grpc import add_EmailServiceServicer_to_server
from baton.mesh.v1.outbox_service_pb2 import DESCRIPTOR as OUTBOX_FILE
from baton.mesh.v1.outbox_service_pb2_grpc import add_OutboxServiceServicer_to_server
from baton.queue.v1.batch_handler_service_pb2 import DESCRIPTOR as BATCH_HANDLER_FILE
from baton.queue.v1.batch_handler_service_pb2_grpc import add_BatchHandlerServiceServicer_to_server
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from email_service.batch_handler import BatchHandler
from email_service.letter import LetterWriter
from email_service.mailer import Mailer
from email_service.outbox_transport import AT_ONCE, OutboxTransport
from email_service.rendering import Renderer
from email_service.report import reports_of
from email_service.servicer import Servicer
from email_service.settings import EmailSettings
from email_service.smtp_transport import smtp_transport
from email_service.storage.schema import SCHEMA, outbox
from email_service.storage.sql import SqlEmailStore
from email_service.transport import Transport
from mesh.channel import open_channel
from mesh.clock import Clock, SystemClock
from mesh.database import Database, DatabaseError
from mesh.field_rules import FieldRules
from mesh.outbox import OutboxRelay
from mesh.outbox_servicer import OutboxServicer
from mesh.program import StartError
from mesh.sql_outbox import SqlOutbox
from mesh.store_thread import StoreThread


def listen(settings: EmailSettings) -> Sequence[str]:
    """Where the service listens."""
    return settings.listen


def build(settings: EmailSettings, *, clock: Clock | None = None, transport: Transport | None = None) -> "Application":
    """The service as its settings want it.

    Args:
        settings: where everything is.
        clock: the system's, unless given.
        transport: what the settings name, unless given.

    Raises:
        StartError: the database cannot be used.
    """
    clock = clock or SystemClock()
    transport = transport or _transport(settings, clock)
    try:
        database = Database(settings.database_url, SCHEMA)
    except DatabaseError as error:
        raise StartError([str(error)]) from error
    return Application(settings, database, transport, clock)


def _transport(settings: EmailSettings, clock: Clock) -> Transport:
    if settings.smtp is None:
        return OutboxTransport(settings.outbox)
    return smtp_transport(
        settings.smtp,
        clock,
        timeout=settings.smtp_timeout,
        tls=settings.smtp_tls,
        connections=settings.smtp_connections,
        letters=settings.smtp_letters,
        rate=settings.smtp_rate,
    )


class Application:
    """The email service, ready to be served."""

    packages: Sequence[str] = ("queue", "email", "mesh")

    def __init__(self, settings: EmailSettings, database: Database, transport: Transport, clock: Clock) -> None:
        self._broker, self._clock = settings.broker, clock
        store = SqlEmailStore(database)
        self._store, self._thread, self._transport = store, StoreThread("emails"), transport
        self._reports = SqlOutbox(database.engine, outbox, self._thread)
        writer = LetterWriter(settings.sender, Renderer())
        self._mailer = Mailer(store, self._thread, writer, transport, clock, reports=reports_of, wake=self._wake)
        at_once = AT_ONCE if settings.smtp is None else settings.smtp_connections
        self._batches = BatchHandler(self._mailer, FieldRules(("email",)), clock, at_once)
        self._channel: grpc.aio.Channel | None = None
        self._relay: OutboxRelay | None = None

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Add the servicers."""
        add_EmailServiceServicer_to_server(Servicer(self._mailer, self._store, self._thread), server)
        add_BatchHandlerServiceServicer_to_server(self._batches, server)
        add_OutboxServiceServicer_to_server(OutboxServicer(self._reports, self._clock), server)
        return [name for file in (EMAIL_FILE, BATCH_HANDLER_FILE, OUTBOX_FILE) for name in _services(file)]

    async def start(self) -> None:
        """Begin to hand over reports; a broker that is away keeps them waiting and nothing else."""
        self._channel = open_channel(self._broker, packages=("queue",))
        self._relay = OutboxRelay(self._reports, ProducerServiceStub(self._channel), self._clock)
        self._relay.start()

    async def drain(self) -> None:
        """Take no further email from the batches under way."""
        self._batches.drain()

    async def close(self) -> None:
        """Let sends end, then release everything; reports that were not handed over wait in the store."""
        await self._mailer.close()
        if self._relay is not None:
            await self._relay.stop()
        if self._channel is not None:
            await self._channel.close()
        await self._transport.close()
        self._thread.close()
        self._store.close()

    def _wake(self) -> None:
        if self._relay is not None:
            self._relay.wake()


def _services(file: FileDescriptor) -> list[str]:
    return [service.full_name for service in file.services_by_name.values()]
