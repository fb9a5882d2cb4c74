"""Names that Cloudflare allows and we do not."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_service.wrangler.queue_names import legal_name
from tests.support.wrangler_import import imported, notes, queues, refused

LEGAL = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("jobs", "jobs"),
        ("jobs--2", "jobs--2"),
        ("My Queue", "my-queue"),
        ("img_thumbs.v2", "img-thumbs-v2"),
        ("a/ b", "a-b"),
        ("_jobs_", "jobs"),
        ("2fa-codes", "q-2fa-codes"),
        ("Größe", "gr-e"),
        ("a" * 62 + "_b", "a" * 62),
        ("очередь", ""),
        ("--", ""),
    ],
)
def test_a_name_is_written_as_it_may_be_here(name: str, written: str) -> None:
    assert legal_name(name) == written


@given(st.text(max_size=100))
def test_whatever_is_written_may_be_a_name(name: str) -> None:
    written = legal_name(name)

    assert not written or re.fullmatch(LEGAL, written)


@given(st.from_regex(LEGAL, fullmatch=True))
def test_a_name_that_may_stay_does(name: str) -> None:
    assert legal_name(name) == name


def test_a_name_is_said_once_and_is_the_same_wherever_it_stands(tmp_path: Path) -> None:
    text = """
        [[queues.producers]]
        binding = "A"
        queue = "My Queue"
        [[queues.consumers]]
        queue = "My Queue"
        dead_letter_queue = "Dead_Letters"
    """

    written = queues(tmp_path, text)

    assert written["my-queue"].consumer.dead_letter_queue == "dead-letters"
    assert list(written) == ["my-queue", "dead-letters"]
    assert notes(tmp_path, text) == [
        "wrangler.toml: queues.producers[0].queue: name 'My Queue' is not allowed here; written as 'my-queue'",
        (
            "wrangler.toml: queues.consumers[0].dead_letter_queue: "
            "name 'Dead_Letters' is not allowed here; written as 'dead-letters'"
        ),
    ]
    assert "# At Cloudflare: 'My Queue'." in imported(tmp_path, text).text


def test_two_queues_never_become_one(tmp_path: Path) -> None:
    text = "[[queues.producers]]\nbinding = 'A'\nqueue = '{}'\n"

    assert refused(tmp_path, text.format("my-queue") + text.format("My Queue")) == [
        "wrangler.toml: queues.producers[1].queue: names 'my-queue' and 'My Queue' would both be 'my-queue' here"
    ]


def test_a_name_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "[[queues.producers]]\nbinding = 'A'\nqueue = '__'") == [
        "wrangler.toml: queues.producers[0].queue: name '__' has no letter of a to z and no digit to make a name of"
    ]


@pytest.mark.parametrize("hostile", [r"A\n[[queues]]\nname = 1", r"A\u007f", r"A\u0000", r"A # \"", r"A\u2028b"])
def test_a_name_cannot_break_out_of_its_comment(tmp_path: Path, hostile: str) -> None:
    text = f'[[queues.producers]]\nbinding = "{hostile}"\nqueue = "{hostile}"'

    assert len(queues(tmp_path, text)) == 1
