"""Where a service listens: ``127.0.0.1:50052`` or ``unix:/path/to.sock``."""

import errno
import os
import socket
import stat
from pathlib import Path

# sockaddr_un holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
MAX_SOCKET_PATH = 100


class AddressError(Exception):
    """An address cannot be listened on: it is malformed, taken, or not ours to take."""


def check_address(text: str) -> str:
    """The address itself when it is well formed; raises ValueError saying what is allowed."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or len(os.fsencode(path)) > MAX_SOCKET_PATH:
            raise ValueError(f"a unix socket's path has 1 to {MAX_SOCKET_PATH} bytes; {text!r} has {len(path)}")
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"must be host:port, with a port of 0 to 65535, or unix:/path; is {text!r}")
    return text


def claim(address: str) -> None:
    """Make sure that ``address`` can be bound: gRPC would share a port, or take over a socket, without a word.

    Raises:
        AddressError: it is taken, or may not be bound.
    """
    if address.startswith("unix:"):
        _claim_path(Path(address.removeprefix("unix:").removeprefix("//")))
    else:
        _claim_port(address)


def _claim_path(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise AddressError(f"unix:{path} is taken by something that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise AddressError(f"unix:{path} is taken: another process listens there")
    path.unlink()  # left behind by a process that was killed


def _claim_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except UnicodeError as error:
        raise AddressError(f"{address} cannot be bound: its host is no host's name") from error
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is taken by another process" if taken else f"cannot be bound: {error.strerror}"
        raise AddressError(f"{address} {why}") from error
