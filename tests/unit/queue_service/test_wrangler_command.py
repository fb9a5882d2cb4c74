"""``python -m queue_service import-wrangler``, as it is typed."""

from pathlib import Path

import pytest

from mesh.program import EXIT_CONFIG
from queue_service.command_line import main

SOUND = "[[queues.producers]]\nbinding = 'A'\nqueue = 'My Queue'"
NOTE = "queues.producers[0].queue: name 'My Queue' is not allowed here; written as 'my-queue'"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "wrangler.toml"
    path.write_text(SOUND)
    return path


def test_queues_go_to_standard_output_and_notes_to_standard_error(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import-wrangler", str(source)]) == 0

    said = capsys.readouterr()
    assert 'name = "my-queue"' in said.out
    assert said.err == f"note: {source}: {NOTE}\n"


def test_what_is_written_passes_the_check(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "queues.toml"

    assert main(["import-wrangler", str(source), "--output", str(output)]) == 0
    assert main(["check", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}: 1 queues, all sound\n"


def test_what_is_there_is_replaced_only_by_force(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "queues.toml"
    output.write_text("# mine")

    assert main(["import-wrangler", str(source), "--output", str(output)]) == EXIT_CONFIG
    assert output.read_text() == "# mine"
    assert f"{output}: is there already; --force replaces it\n" in capsys.readouterr().err

    assert main(["import-wrangler", str(source), "--output", str(output), "--force"]) == 0
    assert 'name = "my-queue"' in output.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["queues.toml", "wrangler.toml"]


def test_what_cannot_be_used_is_said_and_nothing_is_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "queues.toml"
    source.write_text(f"{SOUND}\n[[queues.consumers]]\nqueue = 'jobs'\nmax_retries = 101\nmax_batch_size = 0")

    assert main(["import-wrangler", str(source), "--output", str(output)]) == EXIT_CONFIG

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"{source}: queues.consumers[0].max_batch_size: must be a whole number from 1 to 100 at Cloudflare, is 0",
        f"{source}: queues.consumers[0].max_retries: must be a whole number from 0 to 100 at Cloudflare, is 101",
        f"note: {source}: {NOTE}",
    ]
    assert not output.exists()


def test_a_place_that_cannot_be_written_to_is_said(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    assert main(["import-wrangler", str(source), "--output", str(folder), "--force"]) == EXIT_CONFIG
    assert f"{folder}: " in capsys.readouterr().err
    assert not (tmp_path / "folder.new").exists()


def test_an_address_to_push_to_may_be_a_service(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source.write_text("[[queues.consumers]]\nqueue = 'jobs'")

    assert main(["import-wrangler", str(source), "--push-address", "email", "--env", ""]) == 0
    assert 'push = {address = "email", batch = {}}' in capsys.readouterr().out


def test_a_setting_of_the_broker_that_cannot_be_is_said(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATON_GRACE", "soon")

    assert main(["import-wrangler", str(source)]) == EXIT_CONFIG
    assert "BATON_GRACE" in capsys.readouterr().err
