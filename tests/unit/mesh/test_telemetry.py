"""Log lines, as a process writes them to standard error."""

import json
import subprocess
import sys
from typing import Any

import pytest

from mesh.telemetry import SECRET_KEYS

PROGRAM = """
import logging
from mesh.telemetry import configure, get_logger, request_id

log = get_logger("probe")  # made before the configuration, as every module does
configure("probe_service", log_format={log_format!r}, level="INFO")
{body}
"""


def written(body: str, log_format: str = "json") -> list[str]:
    """What a process of its own writes: the configuration is the process's, so it must not be ours."""
    program = PROGRAM.format(log_format=log_format, body=body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def record(body: str) -> dict[str, Any]:
    (line,) = written(body)
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_is_a_line_of_json_with_service_action_and_time() -> None:
    found = record("log.info('queue made', action='queue_made', queue='work')")

    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "queue made",
        "action": "queue_made",
        "queue": "work",
        "service": "probe_service",
        "level": "info",
    }


def test_a_record_bears_the_id_of_its_request() -> None:
    assert record("request_id.set('r-1'); log.info('a', action='a')")["request_id"] == "r-1"


def test_secrets_never_reach_a_line() -> None:
    fields = ", ".join(f"{key!r}: 'hunter2'" for key in sorted(SECRET_KEYS))

    found = record(f"log.error('mail', action='mail', **{{{fields}}})")

    assert {found[key] for key in SECRET_KEYS} == {"***"}


def test_below_the_level_nothing_is_written() -> None:
    assert written("log.debug('a', action='a'); logging.getLogger('x').debug('b')") == []


def test_a_librarys_record_has_the_same_form() -> None:
    found = record("request_id.set('r-1'); logging.getLogger('some.library').warning('lost %d', 3)")

    assert (found["event"], found["action"], found["level"]) == ("lost 3", "library_some.library", "warning")
    assert (found["service"], found["request_id"]) == ("probe_service", "r-1")


@pytest.mark.parametrize(
    "logger",
    ["log.error('failed', action='failed', exc_info=error)", "logging.getLogger('x').error('failed', exc_info=error)"],
)
def test_an_exception_stays_on_its_line(logger: str) -> None:
    body = f"try:\n    raise ValueError('first\\nsecond')\nexcept ValueError as error:\n    {logger}"

    found = record(body)

    assert "ValueError: first\nsecond" in found["exception"]


def test_a_value_json_does_not_know_is_shown_all_the_same() -> None:
    assert "object at" in record("log.info('a', action='a', thing=object())")["thing"]


def test_people_get_a_readable_line() -> None:
    (line,) = written("log.info('queue made', action='queue_made', token='hunter2')", "console")

    assert "queue made" in line
    assert "queue_made" in line
    assert "probe_service" in line
    assert "hunter2" not in line
    assert "\x1b" not in line


def test_people_get_tracebacks_on_lines_of_their_own() -> None:
    lines = written("try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('failed', action='f')", "console")

    assert "failed" in lines[0]
    assert any("ZeroDivisionError" in line for line in lines[1:])
