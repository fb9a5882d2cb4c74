"""What each setting of a wrangler file becomes."""

from pathlib import Path

import pytest

from mesh.clock import SECOND
from queue_service.queue_definition import DAY, MINUTE, ConsumerSettings, PushTarget, Queue, RetryPolicy
from queue_service.wrangler.setting_bounds import CONSUMER
from queue_service.wrangler.translation import CONSUMER_KEYS, PRODUCER_KEYS
from tests.support.tool import ROOT
from tests.support.wrangler_import import imported, notes, queues, refused

AT_ONCE = RetryPolicy(max_retries=3, initial_delay=0, multiplier=1.0, jitter=0.0)


def consumer(folder: Path, settings: str, push: str = "") -> ConsumerSettings:
    return queues(folder, f"[[queues.consumers]]\nqueue = 'jobs'\n{settings}", push=push)["jobs"].consumer


def test_every_setting_of_a_consumer_is_carried_over(tmp_path: Path) -> None:
    settings = """
        max_batch_size = 100
        max_batch_timeout = 30
        max_retries = 10
        retry_delay = 60
        max_concurrency = 250
        dead_letter_queue = "jobs-dead"
    """

    assert consumer(tmp_path, settings) == ConsumerSettings(
        max_batch_size=100,
        max_batch_timeout=30 * SECOND,
        retry_policy=RetryPolicy(max_retries=10, initial_delay=60 * SECOND, multiplier=1.0, jitter=0.0),
        dead_letter_queue="jobs-dead",
        max_concurrency=250,
    )


def test_a_failure_is_retried_at_once_three_times_as_cloudflare_does_unless_told_otherwise(tmp_path: Path) -> None:
    assert consumer(tmp_path, "").retry_policy == AT_ONCE


@pytest.mark.parametrize("delay", [0, 1, 600, 601, 86_400])
@pytest.mark.parametrize("failures", [1, 2, 100])
def test_a_retry_delay_is_waited_after_every_failure(tmp_path: Path, delay: int, failures: int) -> None:
    policy = consumer(tmp_path, f"retry_delay = {delay}").retry_policy

    wait = min(policy.initial_delay * policy.multiplier ** (failures - 1), policy.max_delay)
    assert (wait, policy.jitter) == (delay * SECOND, 0.0)


def test_no_retries_and_no_waiting_are_not_the_same_as_none_given(tmp_path: Path) -> None:
    written = consumer(tmp_path, "max_retries = 0\nmax_batch_timeout = 0")

    assert (written.retry_policy.max_retries, written.max_batch_timeout) == (0, 0)


@pytest.mark.parametrize(("written", "microseconds"), [("2.5", 2_500_000), ("0.00005", 50), ("60.0", 60_000_000)])
def test_a_part_of_a_second_is_kept(tmp_path: Path, written: str, microseconds: int) -> None:
    assert consumer(tmp_path, f"max_batch_timeout = {written}").max_batch_timeout == microseconds


def test_what_a_worker_consumed_is_pulled_and_says_how_to_have_it_pushed(tmp_path: Path) -> None:
    text = "[[queues.consumers]]\nqueue = 'jobs'"

    assert queues(tmp_path, text)["jobs"].consumer.push is None
    assert '# push = { address = "HOST:PORT", batch = {} }\nname = "jobs"' in imported(tmp_path, text).text


def test_what_a_worker_consumed_is_pushed_with_a_workers_time_and_concurrency_where_an_address_is_given(
    tmp_path: Path,
) -> None:
    written = consumer(tmp_path, "", push="dns:///shop:50060")

    assert written == ConsumerSettings(
        retry_policy=AT_ONCE,
        visibility_timeout=15 * MINUTE,
        max_concurrency=250,
        push=PushTarget("dns:///shop:50060"),
    )


def test_a_concurrency_of_its_own_stays_where_a_queue_is_pushed(tmp_path: Path) -> None:
    assert consumer(tmp_path, "max_concurrency = 2", push="email").max_concurrency == 2


def test_a_concurrency_of_null_is_none_set(tmp_path: Path) -> None:
    text = '{"queues": {"consumers": [{"queue": "jobs", "max_concurrency": null}]}}'

    assert queues(tmp_path, text, name="wrangler.json", push="email")["jobs"].consumer.max_concurrency == 250


def test_what_was_pulled_by_http_is_pulled_whatever_the_address(tmp_path: Path) -> None:
    settings = "type = 'http_pull'\nvisibility_timeout_ms = 90500"

    assert consumer(tmp_path, settings, push="dns:///shop:50060") == ConsumerSettings(
        max_batch_size=5, visibility_timeout=90_500_000, retry_policy=AT_ONCE
    )


def test_a_lease_shorter_than_ours_becomes_our_shortest(tmp_path: Path) -> None:
    text = "[[queues.consumers]]\nqueue = 'jobs'\ntype = 'http_pull'\nvisibility_timeout_ms = 250"

    assert queues(tmp_path, text)["jobs"].consumer.visibility_timeout == SECOND
    assert 'visibility_timeout = "1s" # the least there is; it was 250 ms' in imported(tmp_path, text).text


def test_a_producers_queue_and_a_dead_letter_queue_are_queues_with_every_default(tmp_path: Path) -> None:
    text = """
        [[queues.producers]]
        binding = "LOG"
        queue = "log"
        [[queues.consumers]]
        queue = "jobs"
        dead_letter_queue = "jobs-dead"
    """

    written = queues(tmp_path, text)

    assert list(written) == ["log", "jobs", "jobs-dead"]
    assert (written["log"], written["jobs-dead"]) == (Queue("log"), Queue("jobs-dead"))
    assert written["jobs"].message_retention == 4 * DAY
    assert "# Producers' bindings: 'LOG'." in imported(tmp_path, text).text


def test_a_delivery_delay_is_the_queues(tmp_path: Path) -> None:
    text = "[[queues.producers]]\nbinding = 'A'\nqueue = 'jobs'\ndelivery_delay = 60"

    assert queues(tmp_path, text)["jobs"].delivery_delay == MINUTE
    assert notes(tmp_path, text) == [
        (
            "wrangler.toml: queues.producers[0].delivery_delay: "
            "has long had no effect at Cloudflare; here every message waits 60s"
        )
    ]


def test_two_delivery_delays_of_one_queue_are_refused(tmp_path: Path) -> None:
    producer = "[[queues.producers]]\nbinding = 'A'\nqueue = 'jobs'\ndelivery_delay = {}\n"

    (said,) = refused(tmp_path, producer.format(1) + producer.format(1) + producer.format(2))

    assert said.startswith("wrangler.toml: queues.producers[2].delivery_delay: is 2s, but 1s in another producer of")


def test_what_is_not_supported_is_named_with_its_value_and_the_rest_is_written(tmp_path: Path) -> None:
    text = """
        [queues]
        colour = "red"
        [[queues.producers]]
        binding = "A"
        queue = "jobs"
        remote = true
        [[queues.consumers]]
        queue = "jobs"
        type = "r2-bucket"
        visibility_timeout_ms = 5000
        max_batch_sise = 5
    """

    assert queues(tmp_path, text)["jobs"].consumer == ConsumerSettings(retry_policy=AT_ONCE)
    assert notes(tmp_path, text) == [
        "wrangler.toml: queues.colour: is not known at Cloudflare and left out (it is 'red')",
        (
            "wrangler.toml: queues.producers[0].remote: is not supported and left out: "
            "it joins a local Worker to a queue at Cloudflare (it is True)"
        ),
        (
            "wrangler.toml: queues.consumers[0].max_batch_sise: "
            "is not known at Cloudflare and left out (it is 5); did you mean max_batch_size?"
        ),
        "wrangler.toml: queues.consumers[0].type: 'r2-bucket' is not supported; the queue is pulled",
        "wrangler.toml: queues.consumers[0].visibility_timeout_ms: is for http_pull alone and left out (it is 5000)",
    ]


@pytest.mark.parametrize("setting", sorted(CONSUMER))
@pytest.mark.parametrize("beyond", ["below", "above", "'ten'", "true", "inf", "nan"])
def test_what_cloudflare_itself_would_refuse_is_refused(tmp_path: Path, setting: str, beyond: str) -> None:
    bounds = CONSUMER[setting]
    value = {"below": str(bounds.least - 1), "above": str(bounds.most + 1)}.get(beyond, beyond)

    (said,) = refused(tmp_path, f"[[queues.consumers]]\nqueue = 'jobs'\ntype = 'http_pull'\n{setting} = {value}")

    assert said.startswith(f"wrangler.toml: queues.consumers[0].{setting}: must be a ")
    assert f"from {bounds.least} to {bounds.most} at Cloudflare, is " in said


@pytest.mark.parametrize("setting", sorted(CONSUMER))
@pytest.mark.parametrize("end", ["least", "most"])
def test_what_cloudflare_allows_is_allowed_here(tmp_path: Path, setting: str, end: str) -> None:
    assert consumer(tmp_path, f"type = 'http_pull'\n{setting} = {getattr(CONSUMER[setting], end)}")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("queue = 'a'\nmax_retries = 2.5", "max_retries: must be a whole number from 0 to 100 at Cloudflare, is 2.5"),
        ("queue = 'a'\ntype = 5", "type: must be a string, is 5"),
        ("queue = 5", "queue: must be a string, is 5"),
        ("queue = ''", "queue: is required"),
        ("max_retries = 2", "queue: is required"),
        ("queue = 'a'\ndead_letter_queue = 7", "dead_letter_queue: must be a string, is 7"),
        (
            "queue = 'My Queue'\ndead_letter_queue = 'My Queue'",
            "dead_letter_queue: 'My Queue' is the queue itself; dead letters must come to rest elsewhere",
        ),
    ],
)
def test_what_is_broken_is_said(tmp_path: Path, settings: str, said: str) -> None:
    assert refused(tmp_path, f"[[queues.consumers]]\n{settings}") == [f"wrangler.toml: queues.consumers[0].{said}"]


def test_a_second_consumer_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "[[queues.consumers]]\nqueue = 'a'\n[[queues.consumers]]\nqueue = 'a'") == [
        (
            "wrangler.toml: queues.consumers[1].queue: "
            "'a' has a consumer already, wrangler.toml: queues.consumers[0]; a queue has one"
        )
    ]


def test_a_circle_of_dead_letters_which_cloudflare_allows_is_refused(tmp_path: Path) -> None:
    text = "[[queues.consumers]]\nqueue = '{}'\ndead_letter_queue = '{}'\n"

    assert refused(tmp_path, text.format("a", "b") + text.format("b", "a")) == [
        "wrangler.toml: dead letters would go round in a circle: a -> b -> a"
    ]


def test_an_address_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (said,) = refused(tmp_path, "[[queues.consumers]]\nqueue = 'a'", push="h" * 513)

    assert said.startswith("wrangler.toml: queues[0].consumer.push.address: may have at most 512 bytes, has 513")


def test_every_setting_is_in_the_documents_table() -> None:
    rows = (ROOT / "docs" / "from_wrangler.md").read_text(encoding="utf-8")

    assert [key for key in sorted(PRODUCER_KEYS) if f"| `producers.{key}` |" not in rows] == []
    assert [key for key in sorted(CONSUMER_KEYS) if f"| `consumers.{key}` |" not in rows] == []
