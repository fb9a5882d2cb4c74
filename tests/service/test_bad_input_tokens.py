"""What a caller gives back: page tokens, lease ids and etags that are not what the broker handed out."""

import base64
from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from baton.queue.v1 import consumer_service_pb2, message_pb2, queue_pb2
from baton.queue.v1 import queue_service_pb2 as pb
from mesh import page_token
from mesh.status import read_error
from tests.support.bad_requests.row import MIB
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, duration

Outcome = message_pb2.LeaseOutcome
REFUSED = "is not a token of an earlier page of this list"


async def token_of_queues(broker: RunningBroker) -> str:
    return (await broker.queues.ListQueues(pb.ListQueuesRequest(page_size=1))).next_page_token


async def token_of_messages(broker: RunningBroker, queue: str) -> str:
    return (await broker.queues.PeekMessages(pb.PeekMessagesRequest(name=queue, page_size=1))).next_page_token


async def token_of_tasks(broker: RunningBroker) -> str:
    request = pb.ListRedriveTasksRequest(queue="dead", page_size=1)
    return (await broker.queues.ListRedriveTasks(request)).next_page_token


def listings(broker: RunningBroker) -> dict[str, Callable[[str], Awaitable[object]]]:
    """A page of every list, by the list's name."""
    return {
        "queues": lambda token: broker.queues.ListQueues(pb.ListQueuesRequest(page_token=token)),
        "work": lambda token: broker.queues.PeekMessages(pb.PeekMessagesRequest(name="work", page_token=token)),
        "dead": lambda token: broker.queues.PeekMessages(pb.PeekMessagesRequest(name="dead", page_token=token)),
        "tasks": lambda token: broker.queues.ListRedriveTasks(pb.ListRedriveTasksRequest(page_token=token)),
    }


@pytest.fixture
async def tokens(broker: RunningBroker) -> dict[str, str]:
    """A token of every list that has more than one page."""
    await broker.create("work", dead_letter_queue="dead")
    await broker.send("a", "b")
    await broker.send("a", "b", queue="dead")
    for name in ("one", "two"):
        task = queue_pb2.RedriveTask(redrive_task_id=name, queue="dead", codes=["NONE"])
        await broker.queues.CreateRedriveTask(pb.CreateRedriveTaskRequest(redrive_task=task))
        await broker.queues.CancelRedriveTask(pb.CancelRedriveTaskRequest(redrive_task_id=name))
    return {
        "queues": await token_of_queues(broker),
        "work": await token_of_messages(broker, "work"),
        "dead": await token_of_messages(broker, "dead"),
        "tasks": await token_of_tasks(broker),
    }


async def test_a_token_is_good_for_its_own_list_only(broker: RunningBroker, tokens: dict[str, str]) -> None:
    accepted = []

    for origin, token in tokens.items():
        for place, page in listings(broker).items():
            if origin == place:
                await page(token)
                accepted.append(origin)
            else:
                said = violations(await refused(page(token)))
                assert REFUSED in said["page_token"], f"{origin} -> {place}"

    assert accepted == list(tokens)


async def test_a_token_that_was_changed_is_refused(broker: RunningBroker, tokens: dict[str, str]) -> None:
    for place, token in tokens.items():
        page, raw = listings(broker)[place], base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        changed = {
            token[:-1],
            token[1:],
            token[: len(token) // 2],
            token + "A",
            token + "=",
            token * 2,
            token.swapcase(),
        }
        for index in range(len(raw)):
            flipped = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
            changed.add(base64.urlsafe_b64encode(flipped).decode().rstrip("="))
        for guess in (b"2:99999999999999999999999:x", b"0:1", b"\xff\xff", b"zz", b"0:-1:00"):
            changed.add(base64.urlsafe_b64encode(guess).decode())

        said = [violations(await refused(page(wrong))) for wrong in sorted(changed - {token})]

        assert all(REFUSED in one["page_token"] for one in said)


async def test_a_page_of_large_tasks_ends_by_its_bytes(broker: RunningBroker) -> None:
    await broker.create("work")
    ids = [f"{number:0128}" for number in range(1_000)]
    for number in range(30):
        task = queue_pb2.RedriveTask(redrive_task_id=f"{number:02}", queue="work", message_ids=ids)
        await broker.queues.CreateRedriveTask(pb.CreateRedriveTaskRequest(redrive_task=task))
        await broker.queues.CancelRedriveTask(pb.CancelRedriveTaskRequest(redrive_task_id=task.redrive_task_id))

    first = await broker.queues.ListRedriveTasks(pb.ListRedriveTasksRequest())
    rest = await broker.queues.ListRedriveTasks(pb.ListRedriveTasksRequest(page_token=first.next_page_token))

    assert first.ByteSize() <= 3 * MIB
    found = [task.redrive_task_id for task in (*first.redrive_tasks, *rest.redrive_tasks)]
    assert (found, rest.next_page_token) == ([f"{number:02}" for number in range(30)], "")


async def test_a_lease_id_that_is_not_the_queues_is_unknown_and_harms_nobody(broker: RunningBroker) -> None:
    await broker.create("work")
    await broker.create("other")
    await broker.send("a")
    await broker.send("b", queue="other")
    (mine,), (foreign,) = await broker.pull("work"), await broker.pull("other")
    raw = bytearray(base64.urlsafe_b64decode(mine.lease_id))
    raw[-1] ^= 1
    forged = base64.urlsafe_b64encode(bytes(raw)).decode()
    strange = ["", "x", "\0", "ü", "=" * 48, "A" * 48, "A" * 100_000, mine.lease_id[:-1], mine.lease_id + "A", forged]
    wrong = [*strange, f" {mine.lease_id}", f"{mine.lease_id}\n", mine.lease_id.swapcase(), foreign.lease_id]
    acks = [message_pb2.Settlement(lease_id=lease_id, ack=message_pb2.Ack()) for lease_id in (*wrong, mine.lease_id)]

    extend = consumer_service_pb2.ExtendLeasesRequest(queue="work", lease_ids=[*wrong, mine.lease_id])
    extended = (await broker.consumer.ExtendLeases(extend)).extensions
    settled = await broker.settle(*acks)

    unknown = [Outcome.LEASE_OUTCOME_UNKNOWN_LEASE] * len(wrong)
    assert [one.outcome for one in extended] == [*unknown, Outcome.LEASE_OUTCOME_APPLIED]
    assert [one.lease_id for one in extended] == [*wrong, mine.lease_id]
    assert not any(one.HasField("lease_expire_time") for one in extended[:-1])
    assert settled == [*unknown, Outcome.LEASE_OUTCOME_APPLIED]
    assert (await broker.stats("other")).leased_count == 1


async def test_a_lease_id_of_a_queue_that_was_made_anew_is_unknown(broker: RunningBroker) -> None:
    await broker.create("work")
    await broker.send("a")
    (before,) = await broker.pull()
    await broker.queues.DeleteQueue(pb.DeleteQueueRequest(name="work", force=True))
    await broker.create("work")

    outcomes = await broker.settle(message_pb2.Settlement(lease_id=before.lease_id, ack=message_pb2.Ack()))

    assert outcomes == [Outcome.LEASE_OUTCOME_UNKNOWN_LEASE]


@pytest.mark.parametrize("etag", ["x", " ", "\0", "ü", "0" * 16, "e" * 2_000])
async def test_an_etag_that_does_not_match_changes_nothing(broker: RunningBroker, etag: str) -> None:
    before = await broker.create()
    changed = queue_pb2.Queue(name="work", etag=etag, max_backlog_messages=7)

    error = await refused(broker.queues.UpdateQueue(pb.UpdateQueueRequest(queue=changed)))

    assert read_error(error).reason == "ETAG_MISMATCH"
    assert await broker.get() == before


async def test_output_only_fields_of_any_value_are_ignored(broker: RunningBroker) -> None:
    before = await broker.create()
    claims = queue_pb2.Queue(name="work", state=99, pause_reason="\0", max_backlog_messages=5)  # type: ignore[arg-type]
    for name in ("create_time", "update_time", "pause_expire_time"):
        getattr(claims, name).CopyFrom(duration_out_of_range())
    claims.push_status.state = 77  # type: ignore[assignment]  # no value of the enum

    after = (await broker.queues.UpdateQueue(pb.UpdateQueueRequest(queue=claims))).queue

    assert (after.max_backlog_messages, after.state, after.pause_reason) == (5, before.state, "")
    assert (after.create_time, after.HasField("push_status")) == (before.create_time, False)


def duration_out_of_range() -> object:
    return type(queue_pb2.Queue().create_time)(seconds=2**63 - 1, nanos=-1)


async def test_a_mask_may_name_what_is_output_only_and_it_stays(broker: RunningBroker) -> None:
    before = await broker.create(visibility_timeout=duration(9))
    mask = FieldMask(paths=["state", "create_time", "name", "etag", "consumer.max_concurrency"])
    wanted = queue_pb2.Queue(name="work", consumer=queue_pb2.ConsumerSettings(max_concurrency=3, max_batch_size=7))

    after = (await broker.queues.UpdateQueue(pb.UpdateQueueRequest(queue=wanted, update_mask=mask))).queue

    assert after.consumer.max_concurrency == 3
    assert (after.consumer.max_batch_size, after.consumer.visibility_timeout.seconds) == (10, 9)
    assert (after.state, after.create_time) == (before.state, before.create_time)


@pytest.mark.parametrize("position", ["", "0", "9:1:x", "0:99999999999999999999:" + "0" * 36, "0:1:zz", "0:1:2:3"])
async def test_a_page_token_that_somebody_made_to_fit_is_refused(broker: RunningBroker, position: str) -> None:
    await broker.create()
    token = page_token.encode(position, "messages of work") if position else "AAAA"
    request = pb.PeekMessagesRequest(name="work", page_token=token)

    error = await refused(broker.queues.PeekMessages(request))

    assert violations(error).keys() == {"page_token"}
