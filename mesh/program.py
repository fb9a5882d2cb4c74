"""The frame of a service's ``__main__``: settings, logs, one event loop, and an exit code that says what went wrong."""

import asyncio
import sys
from collections.abc import Callable, Sequence

import uvloop

from mesh.address import AddressError
from mesh.server import Application, serve
from mesh.settings import S, SettingsError, load
from mesh.telemetry import configure, get_logger

# sysexits.h: EX_CONFIG and EX_UNAVAILABLE.
EXIT_CONFIG = 78
EXIT_UNAVAILABLE = 69

log = get_logger(__name__)


class StartError(Exception):
    """A service cannot start; ``problems`` has one sentence for each thing that stands in the way."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def run(name: str, model: type[S], build: Callable[[S], Application], listen: Callable[[S], Sequence[str]]) -> int:
    """Run a service until it is told to stop; the process's exit code."""
    try:
        settings = load(model)
    except SettingsError as error:
        return _refuse(name, error.problems, EXIT_CONFIG)
    configure(name, log_format=settings.log_format, level=settings.log_level)
    try:
        settings.make_data_dir()
        # A fifth less time for a call than on the loop of the standard library.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, build, listen))
    except StartError as error:
        return _refuse(name, error.problems, EXIT_CONFIG)
    except (AddressError, OSError) as error:
        return _refuse(name, [str(error)], EXIT_UNAVAILABLE)
    return 0


async def _serve(settings: S, build: Callable[[S], Application], listen: Callable[[S], Sequence[str]]) -> None:
    await serve(build(settings), listen(settings), grace=settings.grace.total_seconds())


def _refuse(name: str, problems: Sequence[str], code: int) -> int:
    for problem in problems:
        sys.stderr.write(f"{name} cannot start: {problem}\n")
    return code
