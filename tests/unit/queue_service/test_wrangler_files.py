"""The forms a wrangler file comes in: TOML, JSON, JSON with comments; environments; ways to list producers."""

from pathlib import Path

import pytest

from tests.support.tool import ROOT
from tests.support.wrangler_import import imported, notes, queues, refused

JSONC = """{
  // what the shop sends
  "name": "shop",
  "queues": {
    "producers": [{ "binding": "A", "queue": "jobs" },], /* one, so far */
    "consumers": [{ "queue": "jobs", "max_batch_size": 7, "dead_letter_queue": "jobs//dead", }],
  },
}"""
WITH_ENVIRONMENTS = """
    [[queues.producers]]
    binding = "A"
    queue = "jobs"
    [env.staging]
    vars = {}
    [[env.production.queues.producers]]
    binding = "A"
    queue = "jobs-production"
"""


@pytest.mark.parametrize("name", ["wrangler.json", "wrangler.jsonc"])
def test_comments_and_trailing_commas_are_read(tmp_path: Path, name: str) -> None:
    written = queues(tmp_path, JSONC, name=name)

    assert written["jobs"].consumer.max_batch_size == 7
    assert written["jobs"].consumer.dead_letter_queue == "jobs-dead"


def test_json_and_toml_come_to_the_same(tmp_path: Path) -> None:
    toml = "\ufeff[[queues.consumers]]\nqueue = 'jobs'\nmax_batch_timeout = 7"
    json = '{"queues": {"consumers": [{"queue": "jobs", "max_batch_timeout": 7.0}]}}'

    assert queues(tmp_path, toml) == queues(tmp_path, json, name="wrangler.json")


@pytest.mark.parametrize("example", ["wrangler.toml", "wrangler.jsonc"])
def test_the_examples_are_read(tmp_path: Path, example: str) -> None:
    text = (ROOT / "examples" / example).read_text(encoding="utf-8")

    assert queues(tmp_path, text, name=example)["orders"].consumer.dead_letter_queue == "orders-dead"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("wrangler.toml", "queues = [", "Invalid value"),
        ("wrangler.json", '{\n"queues": }', "line 2 Unexpected"),
        ("wrangler.json", '{"queues": 1, "queues": 2}', "Duplicate key"),
        ("wrangler.json", "", "Empty"),
        ("wrangler.json", "[]", "must be an object"),
        ("wrangler.json", "[" * 100_000, "recursion"),
        ("wrangler.yaml", "queues:", "must be named .toml, .json or .jsonc"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, name: str, text: str, said: str) -> None:
    (problem,) = refused(tmp_path, text, name=name)

    assert problem.startswith(f"{name}: ")
    assert said in problem


@pytest.mark.parametrize(
    "producers",
    [
        '[{"binding": "A", "queue": "jobs", "delivery_delay": 2}]',
        '{"A": {"queueName": "jobs", "deliveryDelay": 2}}',
        '{"A": {"queue": "jobs", "delivery_delay": 2}}',
    ],
)
def test_producers_may_be_tables_by_number_or_by_binding(tmp_path: Path, producers: str) -> None:
    text = f'{{"queues": {{"producers": {producers}}}}}'

    assert queues(tmp_path, text, name="wrangler.json")["jobs"].delivery_delay == 2_000_000
    assert "# Producers' bindings: 'A'." in imported(tmp_path, text, name="wrangler.json").text


@pytest.mark.parametrize("producers", ['["jobs"]', '{"jobs": "jobs"}'])
def test_producers_may_be_names_alone(tmp_path: Path, producers: str) -> None:
    text = f'{{"queues": {{"producers": {producers}}}}}'

    assert list(queues(tmp_path, text, name="wrangler.json")) == ["jobs"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'a'", "queues: has no producers and no consumers"),
        ("[queues]", "queues: has no producers and no consumers"),
        ("queues = 5", "queues: must be a table with producers and consumers, is 5"),
        ("queues.producers = 5", "queues.producers: must be tables: [[queues.producers]]; is 5"),
        ("queues.producers = [5]", "queues.producers[0]: must be a table, is 5"),
        (
            "[queues.producers]\nqueue = 'a'\nbinding = 'A'",
            "queues.producers: is a single table; write [[queues.produce",
        ),
        ("queues.consumers = { queue = 'a' }", "queues.consumers: must be tables: [[queues.consumers]]; is {'queue'"),
        ("queues.consumers = ['a']", "queues.consumers[0]: must be a table, is 'a'"),
        ("env = 5", "env: must be tables: [env.NAME]; is 5"),
    ],
)
def test_what_has_the_wrong_form_is_said(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = refused(tmp_path, text)

    assert problem.startswith(f"wrangler.toml: {said}")


def test_without_an_environment_the_top_level_counts_and_the_others_are_named(tmp_path: Path) -> None:
    assert list(queues(tmp_path, WITH_ENVIRONMENTS)) == ["jobs"]
    assert notes(tmp_path, WITH_ENVIRONMENTS) == [
        "wrangler.toml: env.production.queues: is left out; --env production writes it in place of the rest"
    ]


def test_an_environment_has_its_own_queues_and_no_others(tmp_path: Path) -> None:
    assert list(queues(tmp_path, WITH_ENVIRONMENTS, env="production")) == ["jobs-production"]
    assert notes(tmp_path, WITH_ENVIRONMENTS, env="production") == []
    assert "'production'" in imported(tmp_path, WITH_ENVIRONMENTS, env="production").text.splitlines()[0]


def test_an_environment_inherits_no_queues(tmp_path: Path) -> None:
    assert refused(tmp_path, WITH_ENVIRONMENTS, env="staging") == [
        (
            "wrangler.toml: env.staging.queues: has no producers and no consumers; "
            "an environment does not inherit those of the top level"
        )
    ]


def test_an_environment_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, WITH_ENVIRONMENTS, env="stagging") == [
        "wrangler.toml: env.stagging: is not there; there is staging, production; did you mean staging?"
    ]
    assert refused(tmp_path, "name = 'a'", env="staging") == ["wrangler.toml: env.staging: is not there; there is none"]


def test_a_queue_may_be_sent_to_in_one_file_and_consumed_in_another(tmp_path: Path) -> None:
    sender = "[[queues.producers]]\nbinding = 'JOBS'\nqueue = 'jobs'"
    worker = "[[queues.consumers]]\nqueue = 'jobs'\nmax_batch_size = 7"

    assert queues(tmp_path, sender, worker)["jobs"].consumer.max_batch_size == 7
    assert "No consumer" not in imported(tmp_path, sender, worker).text


def test_a_second_consumer_in_another_file_is_refused(tmp_path: Path) -> None:
    worker = "[[queues.consumers]]\nqueue = 'jobs'"

    assert refused(tmp_path, worker, worker) == [
        (
            "1-wrangler.toml: queues.consumers[0].queue: "
            "'jobs' has a consumer already, 0-wrangler.toml: queues.consumers[0]; a queue has one"
        )
    ]


def test_every_problem_of_every_file_is_said_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, "queues = [", "[[queues.consumers]]\nmax_retries = 101")) == 3
