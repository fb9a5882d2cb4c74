"""Bytes that no client of ours would send, at every method of every service: refused as the contract says, or served.

Nothing hangs, nothing of the inside is told, nothing is done by halves, and the service goes on.
"""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baton.email.v1 import email_pb2, email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from baton.queue.v1 import batch_handler_service_pb2
from baton.signup.v1 import signup_service_pb2
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from email_service.app import build as build_email
from email_service.letter import Letter
from email_service.settings import EmailSettings
from mesh.database import sqlite_url
from queue_service.app import QueueApplication
from queue_service.storage.base import MessageStore
from queue_service.storage.memory import MemoryStore
from queue_service.storage.sql import SqlStore
from signup_service.app import build as build_signup
from signup_service.settings import SignupSettings
from tests.support.bad_requests.sound import SOUND
from tests.support.bad_requests.standing import everything, furnish, opening, serves
from tests.support.bad_requests.table import all_rows, methods
from tests.support.fake_clock import FakeClock
from tests.support.fuzzed_bytes import examples, fuzzed
from tests.support.fuzzed_service import FuzzedService, served, under_fuzz
from tests.support.postgres import emptied
from tests.support.runners import runner
from tests.support.running_broker import RunningBroker
from tests.unit.signup_service.neighbour import Neighbourhood

QUEUES = ("work", "dead", "empty", "pushed", "nowhere")
# As many seconds as a profile with many examples may need, beside what starting a server takes.
pytestmark = pytest.mark.timeout(120 + examples(60))
SAMPLES = {method: [*[SOUND[method]] * 20, *(row.request for row in rows)] for method, rows in all_rows().items()}
# Memory is the quickest, so it gets the most; what differs from store to store are the values, not the bytes.
EXAMPLES = {"memory": 12, "sqlite": 4, "postgres": 4, "neighbours": 12}


@pytest.fixture(scope="module", params=["memory", "sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def broker(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FuzzedService]:
    store: MessageStore = MemoryStore()
    if kind == "sqlite":
        store = SqlStore(sqlite_url(tmp_path_factory.mktemp("fuzzed") / "queue.db"))
    elif kind == "postgres":
        store = SqlStore(emptied(request.getfixturevalue("postgres")))

    @asynccontextmanager
    async def opened() -> AsyncIterator[FuzzedService]:
        clock = FakeClock()
        application = QueueApplication(store, (), clock, push_grace=0.2)
        async with served(application) as (address, channel):
            running = RunningBroker(channel, application)
            await furnish(running)
            yield FuzzedService(address, channel, clock, lambda: everything(running), lambda: serves(running))

    with under_fuzz(opened) as service:
        yield service


def frames(
    method: MethodDescriptor, names: Sequence[str], samples: Sequence[Message]
) -> st.SearchStrategy[list[bytes]]:
    """What a caller sends: one request, or, on a stream, some, the first of which is most often a good one."""
    one = fuzzed(method.input_type, samples, names)
    if not method.client_streaming:
        return st.lists(one, min_size=1, max_size=1)
    some = st.lists(one, max_size=4)
    if method.name != "StreamMessages":
        return some
    begun = st.sampled_from(QUEUES).map(lambda queue: opening(queue).SerializeToString())
    return some | st.tuples(begun, some).map(lambda pair: [pair[0], *pair[1]])


def fuzz(
    service: FuzzedService, method: MethodDescriptor, requests: st.SearchStrategy[list[bytes]], usual: int
) -> None:
    """Try a method with so many requests."""

    @settings(max_examples=examples(usual), deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests)
    def example(raw: list[bytes]) -> None:
        service.try_out(method, raw)

    example()
    service.is_well()


@pytest.mark.parametrize("name", sorted(methods()))
def test_the_broker_stands_any_bytes(broker: FuzzedService, kind: str, name: str) -> None:
    method = methods()[name]

    fuzz(broker, method, frames(method, QUEUES, SAMPLES[name]), EXAMPLES[kind])


class _NoTransport:
    """Takes every letter and brings it nowhere."""

    async def send(self, letter: Letter) -> None:
        pass

    async def close(self) -> None:
        pass


NewDatabase = Callable[[str], str]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Makes an empty database of that name; its URL."""

    def sqlite(name: str) -> str:
        return sqlite_url(tmp_path_factory.mktemp(name) / "fuzzed.db")

    def server(name: str) -> str:
        url = sa.make_url(request.getfixturevalue("postgres"))
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return url.set(database=name).render_as_string(hide_password=False)

    return sqlite if request.param == "sqlite" else server


@pytest.fixture(scope="module")
def email(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzedService]:
    folder, url = tmp_path_factory.mktemp("email"), new_database("email")

    @asynccontextmanager
    async def opened() -> AsyncIterator[FuzzedService]:
        clock = FakeClock()
        plain = {"BATON_DATA_DIR": folder, "BATON_QUEUE_ADDRESS": "127.0.0.1:1", "BATON_EMAIL_DATABASE_URL": url}
        application = build_email(EmailSettings.model_validate(plain), transport=_NoTransport(), clock=clock)
        async with served(application) as (address, channel):
            stub = EmailServiceStub(channel)

            async def look() -> list[Message]:
                return [await stub.ListEmails(email_service_pb2.ListEmailsRequest(page_size=1_000))]

            async def good() -> None:
                content = email_pb2.PlainEmail(subject="Hello", body="Hi")
                letter = email_pb2.Email(idempotency_key="k", to="ada@example.org", plain=content)
                await stub.SendEmail(email_service_pb2.SendEmailRequest(email=letter))

            await good()
            yield FuzzedService(address, channel, clock, look, good)

    with under_fuzz(opened) as service:
        yield service


@pytest.fixture(scope="module")
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="baton-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def signup(new_database: NewDatabase, short_path: Path) -> Iterator[FuzzedService]:
    neighbours, url = Neighbourhood(short_path), new_database("signup")
    sockets = (("BATON_EMAIL_ADDRESS", "email.sock"), ("BATON_QUEUE_ADDRESS", "queue.sock"))
    addresses = {name: f"unix:{short_path}/{socket}" for name, socket in sockets}

    @asynccontextmanager
    async def opened() -> AsyncIterator[FuzzedService]:
        clock = FakeClock()
        settings = {"BATON_DATA_DIR": short_path, "BATON_SIGNUP_DATABASE_URL": url, **addresses}
        application = build_signup(SignupSettings.model_validate(settings), clock=clock)
        async with neighbours.email_service(), neighbours.broker(), served(application) as (address, channel):
            stub = SignupServiceStub(channel)

            async def look() -> list[Message]:
                request = signup_service_pb2.ListRegistrationsRequest(page_size=1_000)
                found = list((await stub.ListRegistrations(request)).registrations)
                for registration in found:  # its email is on its way meanwhile
                    registration.ClearField("confirmation")
                    registration.ClearField("update_time")
                return [*found]

            async def good() -> None:
                request = signup_service_pb2.RegisterRequest(registration=runner(), request_id="good")
                await stub.Register(request)

            await good()
            yield FuzzedService(address, channel, clock, look, good)

    with under_fuzz(opened) as service:
        yield service


def of(*files: FileDescriptor) -> list[MethodDescriptor]:
    services = [service for file in files for service in file.services_by_name.values()]
    return [method for service in services for method in service.methods]


HANDLER = batch_handler_service_pb2.DESCRIPTOR


@pytest.mark.parametrize("method", of(email_service_pb2.DESCRIPTOR, HANDLER), ids=lambda method: method.name)
def test_the_email_service_stands_any_bytes(email: FuzzedService, method: MethodDescriptor) -> None:
    fuzz(email, method, frames(method, QUEUES, ()), EXAMPLES["neighbours"])


@pytest.mark.parametrize("method", of(signup_service_pb2.DESCRIPTOR, HANDLER), ids=lambda method: method.name)
def test_the_sign_up_service_stands_any_bytes(signup: FuzzedService, method: MethodDescriptor) -> None:
    fuzz(signup, method, frames(method, QUEUES, ()), EXAMPLES["neighbours"])
