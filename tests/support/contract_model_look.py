"""A look at the whole broker beside the model: the same messages, in one queue each, as the contract has them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.support.contract_model import ContractModel
from tests.support.contract_model_queue import ModelQueue
from tests.support.contract_model_values import Counted, Death, DeathShown, Failure, Held, Seen, Span, Story


def compare(model: ContractModel, seen: Mapping[str, Sequence[Seen]], counted: Mapping[str, Counted]) -> None:
    """Fail where the broker holds what it should not, or shows it as it is not; close what the contract left open."""
    for name in model.queues:
        model.expire(name, {each.message_id for each in seen[name]})
    for name, queue in model.queues.items():
        shown = {each.message_id: each for each in seen[name]}
        assert len(shown) == len(seen[name]), f"{name} shows a message twice"
        assert sorted(shown) == sorted(queue.messages), f"{name} lost or made up a message"
        _close_turns(model, queue, shown)
        for message in queue.messages.values():
            _compare_message(model.now, queue, message, shown[message.message_id])
        _compare_order(model.now, queue, seen[name])
        _compare_counts(model.now, queue, counted[name])
    held = [message_id for queue in model.queues.values() for message_id in queue.messages]
    assert len(held) == len(set(held)), "a message is in two queues"
    model.since = model.now


def _close_turns(model: ContractModel, queue: ModelQueue, shown: Mapping[str, Seen]) -> None:
    """Messages of one key that came while time passed may have come in any order."""
    for key in queue.open_turns - {""}:
        heads = [each for each in shown.values() if each.key == key and (each.ready_time or each.lease_end)]
        if heads and queue.turns.get(key) != heads[0].message_id:
            queue.give_turn(queue.messages[heads[0].message_id], (model.since, model.now))
    queue.open_turns.clear()


def _compare_message(now: int, queue: ModelQueue, message: Held, seen: Seen) -> None:
    message.sent = _closed(message.sent, seen.send_time, "send_time")
    if message.death is not None or seen.death is not None:
        message.death = _closed_death(message, seen.death)
    if not message.leased and queue.has_turn(message):
        assert seen.ready_time is not None, "a message waits for a key whose turn it is"
        message.ready = _closed(message.ready, seen.ready_time, "ready_time")
    message.failures = _closed_failures(message.failures, seen.failures)
    early = message.deliver_time is None and (seen.deliver_time is None or seen.deliver_time <= seen.send_time)
    assert early or seen.deliver_time == message.deliver_time
    spec = message.spec
    expected = Seen(
        message_id=message.message_id,
        place=_place(now, queue, message),
        attempt=message.failed + 1,
        deliveries=message.deliveries,
        ready_time=message.ready[0] if not message.leased and queue.has_turn(message) else None,
        lease_end=message.lease.until if message.leased and message.lease else None,
        failures=seen.failures,
        text=spec.text,
        attributes=spec.attributes,
        key=spec.key,
        deduplication_id=spec.deduplication_id,
        send_time=message.sent[0],
        deliver_time=seen.deliver_time,
        expire_time=message.expires,
        death=seen.death,
    )
    assert seen == expected


def _place(now: int, queue: ModelQueue, message: Held) -> str:
    if message.leased:
        return "LEASED"
    return "READY" if queue.has_turn(message) and message.ready[0] <= now else "DELAYED"


def _closed(span: Span, at: int, what: str) -> Span:
    assert span[0] <= at <= span[1], f"{what} is {at}, not within {span}"
    return at, at


def _closed_failures(known: Sequence[Failure], shown: Sequence[Story]) -> list[Failure]:
    assert len(known) == len(shown), f"failures {shown}, not {known}"
    for failure, story in zip(known, shown, strict=True):
        assert failure.told_by(story), f"failure {story}, not {failure}"
    return [failure.closed(story) for failure, story in zip(known, shown, strict=True)]


def _closed_death(message: Held, shown: DeathShown | None) -> Death:
    known = message.death
    assert known is not None, "a message that never died has a record of its death"
    assert shown is not None, "a dead letter lost its record"
    told = (known.reason, known.source, known.attempts, known.source_send_time, known.redrives)
    assert (shown.reason, shown.source, shown.attempts, shown.source_send_time, shown.redrives) == told
    time = _closed(known.time, shown.time, "dead_letter_time")
    return replace(known, time=time, failures=tuple(_closed_failures(known.failures, shown.failures)))


def _compare_order(now: int, queue: ModelQueue, seen: Sequence[Seen]) -> None:
    ready = [each.message_id for each in seen if each.place == "READY" and each.expire_time > now]
    assert ready == [message.message_id for message in queue.ready(now)], "a peek shows another order than deliveries"


def _compare_counts(now: int, queue: ModelQueue, counted: Counted) -> None:
    places = [(_place(now, queue, message), message.expires <= now) for message in queue.messages.values()]
    overdue = places.count(("READY", True))
    assert 0 <= counted.ready - places.count(("READY", False)) <= overdue
    assert counted.leased == sum(place == "LEASED" for place, _ in places)
    assert counted.delayed == sum(place == "DELAYED" for place, _ in places)
    assert counted.size == sum(message.spec.size for message in queue.messages.values())
    if not overdue:
        oldest = min((message.ready[0] for message in queue.ready(now)), default=None)
        assert counted.oldest_ready == oldest
    assert {name: count for name, count in counted.totals.items() if count} == +queue.totals
