"""The process that registers runners, and notes how long each waited for the answer."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from benchmarks.patterns.plan import address
from mesh.channel import open_channel

if TYPE_CHECKING:
    from baton.signup.v1.signup_service_pb2_grpc import SignupServiceAsyncStub

# Seconds: far more than any answer should take, so that a slow one is measured and not cut off.
_TIMEOUT = 60.0


def request(mode: str, number: int, runner: int) -> signup_service_pb2.RegisterRequest:
    """What a runner fills in."""
    registration = pb.Registration(
        first_name=f"Ada{runner}",
        last_name="Lovelace",
        email=address(mode, number, runner),
        address="12 St James Square, London",
        distance=pb.DISTANCE_MARATHON,
    )
    chosen = pb.ConfirmationMode.Value(f"CONFIRMATION_MODE_{mode}")
    return signup_service_pb2.RegisterRequest(
        registration=registration, confirmation_mode=chosen, request_id=registration.email
    )


async def client(stub: "SignupServiceAsyncStub", requests: Iterator[signup_service_pb2.RegisterRequest]) -> list[float]:
    """Register one runner after another; the seconds that each waited."""
    waited = []
    for each in requests:
        begun = time.perf_counter()
        await stub.Register(each, timeout=_TIMEOUT)
        waited.append(time.perf_counter() - begun)
    return waited


async def load(target: str, mode: str, number: int, runners: int, clients: int) -> dict[str, object]:
    """Register all runners; when it began, and what each waited."""
    requests = (request(mode, number, runner) for runner in range(runners))
    async with open_channel(target, packages=("signup",)) as channel:
        await asyncio.wait_for(channel.channel_ready(), _TIMEOUT)
        stub = SignupServiceStub(channel)
        begun = time.time()
        waited = await asyncio.gather(*(client(stub, requests) for _ in range(clients)))
    return {"begun": begun, "waited": sorted(seconds for each in waited for seconds in each)}


def main() -> int:
    """Read the command line, register, write what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--mode", required=True)
    for name in ("--number", "--runners", "--clients"):
        parser.add_argument(name, type=int, required=True)
    print(json.dumps(asyncio.run(load(**vars(parser.parse_args())))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
