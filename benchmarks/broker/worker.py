"""A process that sends or consumes: takes orders as lines of JSON, and answers each by one.

It imports nothing of the mesh itself, so that it runs with the peers' interpreter too.
"""

import argparse
import asyncio
import importlib
import json
import sys
from dataclasses import asdict
from typing import Any

from benchmarks.broker import load
from benchmarks.broker.batch_client import BatchClient

_PHASES: dict[str, Any] = {
    "send": load.send,
    "send_singly": load.send_singly,
    "send_steadily": load.send_steadily,
    "consume": load.consume,
}


def client_of(path: str, address: str) -> BatchClient:
    """The client that ``module:class`` names."""
    module, _, name = path.partition(":")
    client: BatchClient = getattr(importlib.import_module(module), name)(address)
    return client


async def obey(client: BatchClient, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out an order."""
    do = order.pop("do")
    if do in _PHASES:
        return asdict(await _PHASES[do](client, **order))
    await {"make": client.make, "use": client.use}[do](**order)
    return {}


async def work(path: str, address: str) -> None:
    """Obey until there are no more orders."""
    client = client_of(path, address)
    await client.connect()
    print("{}", flush=True)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await obey(client, json.loads(line))), flush=True)
    finally:
        await client.close()


def main() -> int:
    """Read the command line and work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", required=True, help="module:class")
    parser.add_argument("--address", required=True)
    options = parser.parse_args()
    asyncio.run(work(options.client, options.address))
    return 0


if __name__ == "__main__":
    sys.exit(main())
