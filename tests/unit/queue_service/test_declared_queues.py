from pathlib import Path

import pytest

import queue_service
from mesh.clock import SECOND
from mesh.field_rules import FieldRules
from queue_service.declared_queues import DeclarationError, parse_declared, read_declared
from queue_service.queue_definition import PushTarget, Queue

RULES = FieldRules(("queue",))
NO_DURATION = "must be a number and one of us, ms, s, m, h, d, such as 5s"
SERVICES = {"email": "unix:/run/email.sock", "signup": "127.0.0.1:50051"}


def read(tmp_path: Path, text: str) -> list[Queue]:
    path = tmp_path / "queues.toml"
    path.write_text(text)
    return read_declared(path, SERVICES, RULES)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        read(tmp_path, text)
    return [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_the_projects_own_file_is_sound() -> None:
    path = Path(queue_service.__file__).with_name("queues.toml")

    queues = {queue.name: queue for queue in read_declared(path, SERVICES, RULES)}

    assert queues["registration-confirmations"].consumer.push == PushTarget("unix:/run/email.sock")
    assert queues["registration-confirmations"].consumer.dead_letter_queue == "registration-confirmations-dead"


def test_every_kind_of_field_is_read(tmp_path: Path) -> None:
    (queue,) = read(
        tmp_path,
        """
        [[queues]]
        name = "work"
        delivery_delay = "1.5s"
        message_retention = "2d"
        max_backlog_messages = 7
        [queues.consumer]
        max_batch_timeout = "250ms"
        max_messages_per_second = 2.5
        retry_policy = { max_retries = 0, multiplier = 1.0, jitter = 0.0 }
        push = { address = "dns:///host:1", method = { method = "a.v1.B/C" } }
        """,
    )

    assert (queue.delivery_delay, queue.message_retention) == (1_500_000, 2 * 86_400 * SECOND)
    assert (queue.consumer.max_batch_timeout, queue.max_backlog_messages) == (250_000, 7)
    assert queue.consumer.retry_policy.max_retries == 0
    assert queue.consumer.push == PushTarget("dns:///host:1", "a.v1.B/C")


def test_a_queue_without_push_is_pulled(tmp_path: Path) -> None:
    assert read(tmp_path, '[[queues]]\nname = "work"')[0].consumer.push is None


def test_an_empty_file_declares_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == []


def test_every_problem_is_named_with_file_key_and_value(tmp_path: Path) -> None:
    text = """
    colour = 1
    [[queues]]
    name = "Work"
    [[queues]]
    name = "b"
    delivery_delai = "1s"
    message_retention = "soon"
    [queues.consumer]
    max_batch_size = "ten"
    dead_letter_queue = 7
    """

    assert problems(tmp_path, text) == [
        "queues.toml: colour is not known (it is 1); only [[queues]] is",
        "queues.toml: queues[0].name: must match [a-z]([a-z0-9-]{0,61}[a-z0-9])?, is 'Work'",
        "queues.toml: queues[1].delivery_delai: is not known (it is '1s'); did you mean delivery_delay?",
        f"queues.toml: queues[1].message_retention: {NO_DURATION}; is 'soon'",
        "queues.toml: queues[1].consumer.max_batch_size: must be a whole number, is 'ten'",
        "queues.toml: queues[1].consumer.dead_letter_queue: must be a string, is 7",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[queues]]\nname = 'a'\n[[queues]]\nname = 'a'", "declared twice"),
        ("queues = 5", "must be tables"),
        ("queues = [", "queues.toml"),
        ("[[queues]]", "name: is required"),
        ("[[queues]]\nname = 'a'\nconsumer = 5", "consumer: must be a table"),
        ("[[queues]]\nname = 'a'\nconsumer.max_batch_size = 0", "must be at least 1, is 0"),
        ("[[queues]]\nname = 'a'\nconsumer.max_batch_size = true", "must be a whole number, is True"),
        ("[[queues]]\nname = 'a'\nmax_backlog_messages = 99999999999999999999", "max_backlog_messages"),
        ("[[queues]]\nname = 'a'\nconsumer.push.address = 'email'", "consumer.push.call: is required"),
        ("[[queues]]\nname = 'a'\nconsumer.push = { address = 'h:1', batch = {}, method = {} }", "multiple"),
        ("a = " + "[" * 100_000, "queues.toml"),
    ],
)
def test_what_is_broken_is_said(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in problem for problem in problems(tmp_path, text))


@pytest.mark.parametrize(
    "declared",
    [
        "state = 'STATE_PAUSED'",
        "pause_reason = 'mail server moves'",
        "pause_expire_time = 2027-01-01T00:00:00Z",
        "create_time = '2027-01-01T00:00:00Z'",
        "update_time = 5",
        "etag = '0123456789abcdef'",
        "push_status = { reason = 'none' }",
    ],
)
def test_what_the_broker_sets_cannot_be_declared(tmp_path: Path, declared: str) -> None:
    (said,) = problems(tmp_path, f"[[queues]]\nname = 'a'\n{declared}")

    assert said.startswith(f"queues.toml: queues[0].{declared.split()[0]}: is set by the broker and cannot be declared")


def test_dead_letters_that_would_go_round_in_a_circle_are_said_once_for_each_circle(tmp_path: Path) -> None:
    declared = {"in": "a", "a": "b", "b": "c", "c": "a", "self": "self", "x": "y", "y": "elsewhere", "alone": ""}
    text = "\n".join(
        f"[[queues]]\nname = '{name}'\nconsumer.dead_letter_queue = '{dead}'" for name, dead in declared.items()
    )

    assert problems(tmp_path, text) == [
        "queues.toml: dead letters would go round in a circle: a -> b -> c -> a",
        "queues.toml: dead letters would go round in a circle: self -> self",
    ]


def test_a_text_is_read_under_the_name_it_came_by() -> None:
    with pytest.raises(DeclarationError, match=r"^somewhere: queues\[0\]\.name: is required$"):
        parse_declared("[[queues]]", "somewhere", SERVICES, RULES)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"none\.toml"):
        read_declared(tmp_path / "none.toml", SERVICES, RULES)
