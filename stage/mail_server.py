"""A mail server as a process of its own, which keeps a log and misbehaves as a file tells it.

It takes a mail at the moment of its answer: a client that hangs up before has sent nothing, and the log says ``cut``.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from stage.manners import Manners


class Handler:
    """What aiosmtpd calls.

    Args:
        manners: file of them, read anew for every recipient.
        log: a JSON object a line is added to it for everything that happens.
    """

    def __init__(self, manners: Path, log: Path) -> None:
        self._manners, self._log = manners, log
        self._attempts: Counter[str] = Counter()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """A client names a recipient."""
        self._attempts[address] += 1
        reply = Manners.read(self._manners).to_recipient(address, self._attempts[address])
        if reply is not None:
            self._note("refused", address, session, reply=reply)
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """A mail was transferred whole."""
        manners, recipient = Manners.read(self._manners), envelope.rcpt_tos[0]
        message_id = str(BytesHeaderParser().parsebytes(envelope.content)["Message-ID"])
        self._note("transferred", recipient, session, message_id=message_id)
        try:
            await asyncio.sleep(manners.seconds_a_mail)
        except asyncio.CancelledError:
            self._note("cut", recipient, session, message_id=message_id)
            raise
        reply = manners.to_mail(recipient, self._attempts[recipient])
        if reply is not None:
            self._note("refused", recipient, session, reply=reply)
            return reply
        for _ in range(1 + manners.twice):
            self._note("taken", recipient, session, message_id=message_id)
        return "250 OK"

    def _note(self, what: str, recipient: str, session: Any, **more: str) -> None:
        facts = {"time": time.time(), "what": what, "recipient": recipient, "attempt": self._attempts[recipient]}
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({**facts, "connection": session.peer[1], **more}) + "\n")


async def serve(manners: Path, log: Path, port: int) -> None:
    """Serve until SIGTERM; the port is the first line on standard output."""
    handler, loop, asked = Handler(manners, log), asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, asked.set)
    server = await loop.create_server(
        lambda: SMTP(handler, enable_SMTPUTF8=True, hostname="mail.test"), "127.0.0.1", port
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asked.wait()
    server.close()


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manners", type=Path, required=True, help="file of how it misbehaves")
    parser.add_argument("--log", type=Path, required=True, help="file to which it adds a line for every event")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    options = parser.parse_args()
    asyncio.run(serve(options.manners, options.log, options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
