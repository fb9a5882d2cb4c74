"""Addresses to listen on, and what stands in their way."""

import socket
from pathlib import Path

import pytest

from mesh.address import MAX_SOCKET_PATH, AddressError, check_address, claim


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, so that a socket's path is short however deep the temporary folder lies."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:50052", "localhost:0", "[::1]:65535", "0.0.0.0:1", "unix:/run/baton/email.sock", "unix:a"],
)
def test_a_well_formed_address_is_itself(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize("address", ["", "127.0.0.1", ":50052", "a:65536", "a:-1", "a:b", "a:", "unix:", "a:1 "])
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"must be host:port|a unix socket's path"):
        check_address(address)


def test_a_socket_path_has_a_longest_length() -> None:
    longest = "unix:/" + "x" * (MAX_SOCKET_PATH - 1)

    assert check_address(longest) == longest
    with pytest.raises(ValueError, match=f"1 to {MAX_SOCKET_PATH} bytes"):
        check_address(longest + "x")


def test_a_free_port_can_be_claimed_again_and_again() -> None:
    claim("127.0.0.1:0")
    claim("127.0.0.1:0")


def test_a_port_somebody_listens_on_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(AddressError, match=f"{address} is taken by another process"):
            claim(address)


def test_a_port_just_given_up_can_be_claimed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address), server.accept()[0]:
            pass  # which leaves the port in TIME_WAIT

    claim(f"127.0.0.1:{address[1]}")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "x" * 80 + ".example", "a..b"])
def test_a_host_that_is_not_ours_cannot_be_bound(host: str) -> None:
    with pytest.raises(AddressError, match="cannot be bound"):
        claim(f"{host}:0")


def test_a_socket_somebody_listens_on_is_taken_and_kept(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("a.sock")
        other.listen()

        with pytest.raises(AddressError, match=r"unix:a\.sock is taken"):
            claim("unix:a.sock")

    assert (folder / "a.sock").exists()


def test_a_socket_of_another_kind_is_taken_and_kept(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind("a.sock")

        with pytest.raises(AddressError, match=r"unix:a\.sock is taken"):
            claim("unix:a.sock")

    assert (folder / "a.sock").exists()


def test_a_socket_left_behind_is_removed(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind("a.sock")

    claim("unix:a.sock")

    assert not (folder / "a.sock").exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_socket_is_kept(folder: Path, kind: str) -> None:
    taken = folder / "a.sock"
    if kind == "file":
        taken.write_text("precious")
    else:
        taken.mkdir()

    with pytest.raises(AddressError, match="is taken by something that is no socket"):
        claim(f"unix:{taken.name}")

    assert taken.exists()


def test_the_folder_of_a_socket_is_made_for_its_owner_alone(folder: Path) -> None:
    claim("unix:run/deep/a.sock")

    assert (folder / "run" / "deep").stat().st_mode & 0o777 == 0o700


def test_the_form_with_slashes_is_understood(folder: Path) -> None:
    (folder / "a.sock").write_text("precious")

    with pytest.raises(AddressError):
        claim(f"unix://{folder}/a.sock")
