from pathlib import Path

import pytest

import queue_service
from mesh.program import EXIT_CONFIG
from queue_service.command_line import main


def test_a_sound_file_is_said_to_be_sound(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(queue_service.__file__).with_name("queues.toml")

    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: 3 queues, all sound\n"


def test_every_problem_of_a_broken_file_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "queues.toml"
    path.write_text('[[queues]]\nname = "A"\n[[queues]]\nname = "b"\nmessage_retention = "soon"\n')

    assert main(["check", str(path)]) == EXIT_CONFIG
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fly"])

    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_a_circle_of_dead_letters_is_found_before_a_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "queues.toml"
    path.write_text('[[queues]]\nname = "a"\nconsumer.dead_letter_queue = "a"\n')

    assert main(["check", str(path)]) == EXIT_CONFIG
    assert capsys.readouterr().err == f"{path}: dead letters would go round in a circle: a -> a\n"
