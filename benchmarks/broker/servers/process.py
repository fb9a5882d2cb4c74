"""A server as a process: started, awaited until it listens, stopped."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from stage.waiting import until

_LISTENING_WITHIN = 60.0
_STOPPED_WITHIN = 20.0


@asynccontextmanager
async def running(
    command: Sequence[str],
    folder: Path,
    port: int,
    environment: Mapping[str, str] | None = None,
    *,
    log: Path | None = None,
) -> AsyncIterator[None]:
    """Run a server in ``folder`` that listens on a port of the loopback interface; ``log`` gets what it says.

    Raises:
        RuntimeError: it ended, or does not listen in time; the last of what it said is in the text.
    """
    said = log or folder / f"{Path(command[0]).name}.log"
    with said.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        await _listening(process, port, said)
        yield
    finally:
        await _stop(process)


async def _listening(process: asyncio.subprocess.Process, port: int, said: Path) -> None:
    async def ready() -> bool | None:
        if process.returncode is not None:
            return None
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    if not await until(ready, lambda found: found is not False, within=_LISTENING_WITHIN):
        why = "does not listen in time" if process.returncode is None else f"ended with code {process.returncode}"
        raise RuntimeError(f"the server {why}: {_end_of(said)}")


def _end_of(said: Path) -> str:
    return said.read_text(errors="replace")[-2000:]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOPPED_WITHIN)
    except TimeoutError:
        process.kill()
        await process.wait()
