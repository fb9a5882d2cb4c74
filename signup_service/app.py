"""The composition root: the only place that picks a database, a clock and a channel."""

from collections.abc import Iterable, Sequence
from random import Random, SystemRandom

import grpc

from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from baton.mesh.v1 import outbox_service_pb2
from baton.mesh.v1.outbox_service_pb2_grpc import add_OutboxServiceServicer_to_server
from baton.queue.v1 import batch_handler_service_pb2
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
from mesh.outbox_servicer import OutboxServicer
from mesh.program import StartError
from mesh.sql_outbox import SqlOutbox
from mesh.store_thread import StoreThread
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from signup_service.batch_handler import BatchHandler
from signup_service.changes import Changes
from signup_service.confirmation_outbox import ConfirmationOutbox
from signup_service.email_client import EmailClient
from signup_service.race import Race
from signup_service.registrar import Registrar
from signup_service.registration import DIRECT_LIMIT, Registration
from signup_service.runner_email import RunnerEmail
from signup_service.sender import Sender
from signup_service.servicer import SignupServicer
from signup_service.settings import SignupSettings
from signup_service.storage.schema import OUTBOX, SCHEMA
from signup_service.storage.sql import SqlRegistrationStore
from signup_service.storage.threaded import ThreadedStore
from signup_service.trace_context import Tracer
from signup_service.unconfirmed import UnconfirmedReaper

log = get_logger(__name__)


class SignupApplication:
    """The sign-up service, ready to be served."""

    packages: Sequence[str] = ("signup", "queue", "mesh")

    def __init__(
        self, settings: SignupSettings, database: Database, email: RunnerEmail, clock: Clock, random: Random
    ) -> None:
        self._settings, self._database, self._email, self._clock = settings, database, email, clock
        self._tracer, self._tasks, self._changes = Tracer(random), TaskSet(), Changes()
        self._thread = StoreThread("registrations")
        registrations = SqlRegistrationStore(database.engine, email.entry)
        self._identifiers = Identifiers(clock, random, after=registrations.newest_id())
        self._store = ThreadedStore(registrations, self._thread, clock, self._changed)
        self._outbox = ConfirmationOutbox(SqlOutbox(database.engine, OUTBOX, self._thread), self._store)
        self._channels: list[grpc.aio.Channel] = []
        self._relay: OutboxRelay | None = None
        self._reaper: UnconfirmedReaper | None = None
        self._registrar: Registrar | None = None

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Put the parts together and add the servicers: calls come in from here on, before `start`."""
        broker = ProducerServiceStub(self._open(self._settings.broker, "queue"))
        self._relay = OutboxRelay(self._outbox, broker, self._clock)
        registrar = self._registrar = self._compose()
        if self._settings.unconfirmed is not None:
            self._reaper = UnconfirmedReaper(self._store, registrar.cancel, self._clock, self._settings.unconfirmed)
        add_SignupServiceServicer_to_server(SignupServicer(registrar, self._tracer), server)
        add_BatchHandlerServiceServicer_to_server(BatchHandler(self._store), server)
        add_OutboxServiceServicer_to_server(OutboxServicer(self._outbox, self._clock), server)
        contracts = (signup_service_pb2, batch_handler_service_pb2, outbox_service_pb2)
        return [service.full_name for file in contracts for service in file.DESCRIPTOR.services_by_name.values()]

    async def start(self) -> None:
        """Begin to empty the outbox, and to look after those whom no confirmation reaches."""
        if self._relay is not None:
            self._relay.start()
        if self._reaper is not None:
            self._reaper.start()

    async def drain(self) -> None:
        """Refuse new registrations and wait for the confirmations that are being sent."""
        if self._registrar is not None:
            await self._registrar.drain(DIRECT_LIMIT.total_seconds())

    async def close(self) -> None:
        """Stop what still runs, from the outside in; safe whatever was begun."""
        if self._reaper is not None:
            await self._reaper.stop()
        await self._tasks.cancel()
        if self._relay is not None:
            await self._relay.stop()
        for channel in self._channels:
            await channel.close()
        self._thread.close()
        self._database.close()

    def _compose(self) -> Registrar:
        service = EmailServiceStub(self._open(self._settings.email, "email"))
        mailer = EmailClient(service, self._email, self._tracer)
        return Registrar(
            self._store,
            Sender(mailer, self._store, self._clock, self._tasks),
            self._changes,
            clock=self._clock,
            identifiers=self._identifiers,
            tasks=self._tasks,
        )

    def _changed(self, registrations: Iterable[Registration]) -> None:
        changed = list(registrations)
        self._changes.publish(changed)
        if self._relay is not None and any(registration.outgoing for registration in changed):
            self._relay.wake()

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
    email = RunnerEmail(race, Tracer(random))
    try:
        database = Database(settings.database, SCHEMA)
    except DatabaseError as error:
        raise StartError([f"BATON_SIGNUP_DATABASE_URL: {error}"]) from error
    try:
        _take_over(database, email, clock)
        return SignupApplication(settings, database, email, clock, random)
    except BatonError as error:
        database.close()
        raise StartError([f"BATON_SIGNUP_DATABASE_URL: {error}"]) from error


def _take_over(database: Database, email: RunnerEmail, clock: Clock) -> None:
    count = SqlRegistrationStore(database.engine, email.entry).take_over(clock.now())
    if count:
        log.warning(
            "confirmations cut off by the end of an earlier run go to the broker",
            action="confirmations_queued",
            count=count,
        )
