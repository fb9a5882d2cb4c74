"""What all tests share: a PostgreSQL server, and the profiles of what Hypothesis draws."""

import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.support.postgres import postgres_server

# `make torture` draws more.
settings.register_profile("usual", print_blob=True)
settings.register_profile("torture", max_examples=2500, print_blob=True)
settings.load_profile("torture" if os.environ.get("BATON_TORTURE") else "usual")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests recorded: what had to be excused is worth seeing also when all went well."""
    for report in terminalreporter.getreports("passed"):
        if report.user_properties:
            terminalreporter.write_line(report.nodeid)
        for name, value in report.user_properties:
            terminalreporter.write_line(f"  {name}: {value}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database on a real PostgreSQL server; who uses it empties it first."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def unlogged() -> Iterator[None]:
    """No log of thousands of lives around the one that matters."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(wrapper_class=before)
