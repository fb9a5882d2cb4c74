"""The composition root: the only place that picks a database, a clock and a channel."""

from collections.abc import Sequence
from random import Random, SystemRandom

import grpc

from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from baton.queue.v1 import (
    batch_handler_service_pb2,
)
from baton.queue.v1.batch_handler_service_pb2_grpc import add_BatchHandlerServiceServicer_to_server
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.signup.v1 import signup_service_pb2
from baton.signup.v1.signup_service_pb2_grpc import add_SignupServiceServicer_to_server
from mesh.channel import open_channel
from mesh.clock import Clock, SystemClock
from mesh.database import Database, DatabaseError
from mesh.errors import BatonError
from mesh.identifier import Identifiers
from mesh.outbox import OutboxRelay
from mesh.program import StartError
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from signup_service.batch_handler import BatchHandler
from signup_service.confirmation_email import ConfirmationEmail
from signup_service.email_client import EmailClient
from signup_service.race import Race
from signup_service.registrar import Registrar
from signup_service.sender import LIMIT, Sender
from signup_service.servicer import SignupServicer
from signup_service.settings import SignupSettings
from signup_service.storage import schema
from signup_service.storage.sql import SqlRegistrationStore
from signup_service.storage.threaded import ThreadedStore
from signup_service.trace_context import Tracer

log = get_logger(__name__)


class SignupApplication:
    """The sign-up service, ready to be served."""

    packages: Sequence[str] = ("signup", "queue")

    def __init__(
        self, settings: SignupSettings, database: Database, email: ConfirmationEmail, clock: Clock, random: Random
    ) -> None:
        self._settings, self._database, self._email, self._clock = settings, database, email, clock
        self._identifiers, self._tracer = Identifiers(clock, random), Tracer(random)
        self._store = ThreadedStore(SqlRegistrationStore(database.engine), clock)
        self._tasks = TaskSet()
        self._channels: list[grpc.aio.Channel] = []
        self._relay: OutboxRelay | None = None
        self._registrar: Registrar | None = None

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Put the parts together and add the servicers: calls come in from here on, before `start`."""
        relay = self._relay = OutboxRelay(
            self._store, ProducerServiceStub(self._open(self._settings.broker, "queue")), self._clock
        )
        registrar = self._registrar = self._compose(relay)
        add_SignupServiceServicer_to_server(SignupServicer(registrar, self._tracer), server)
        add_BatchHandlerServiceServicer_to_server(BatchHandler(self._store), server)
        contracts = (signup_service_pb2.DESCRIPTOR, batch_handler_service_pb2.DESCRIPTOR)
        return [service.full_name for file in contracts for service in file.services_by_name.values()]

    async def start(self) -> None:
        """Begin to empty the outbox."""
        if self._relay is not None:
            self._relay.start()

    async def drain(self) -> None:
        """Refuse new registrations and wait for the confirmations that are being sent."""
        if self._registrar is not None:
            await self._registrar.drain(LIMIT.total_seconds())

    async def close(self) -> None:
        """Stop what still runs, from the outside in; safe whatever was begun."""
        await self._tasks.cancel()
        if self._relay is not None:
            await self._relay.stop()
        for channel in self._channels:
            await channel.close()
        self._store.close()
        self._database.close()

    def _compose(self, relay: OutboxRelay) -> Registrar:
        service = EmailServiceStub(self._open(self._settings.email, "email"))
        mailer = EmailClient(service, self._email, self._tracer)
        return Registrar(
            self._store,
            Sender(mailer, self._store, self._clock, self._tasks),
            self._email.entry,
            relay.wake,
            clock=self._clock,
            identifiers=self._identifiers,
            tasks=self._tasks,
        )

    def _open(self, target: str, package: str) -> grpc.aio.Channel:
        channel = open_channel(target, packages=(package,))
        self._channels.append(channel)
        return channel


def build(settings: SignupSettings, *, clock: Clock | None = None, random: Random | None = None) -> SignupApplication:
    """The service on its database; what an earlier run left unsent is on its way to the broker.

    Raises:
        StartError: the database cannot be used.
    """
    clock, random = clock or SystemClock(), random or SystemRandom()
    race = Race.at(settings.race, settings.race_start, settings.race_location)
    email = ConfirmationEmail(race, Tracer(random))
    try:
        database = Database(settings.database, schema.METADATA, schema.VERSION)
    except DatabaseError as error:
        raise StartError([f"BATON_SIGNUP_DATABASE_URL: {error}"]) from error
    try:
        _queue_interrupted(database, email, clock)
    except BatonError as error:
        database.close()
        raise StartError([f"BATON_SIGNUP_DATABASE_URL: {error}"]) from error
    return SignupApplication(settings, database, email, clock, random)


def _queue_interrupted(database: Database, email: ConfirmationEmail, clock: Clock) -> None:
    count = SqlRegistrationStore(database.engine).queue_interrupted(email.entry, clock.now())
    if count:
        log.warning(
            "confirmations cut off by the end of an earlier run go to the broker",
            action="confirmations_queued",
            count=count,
        )
