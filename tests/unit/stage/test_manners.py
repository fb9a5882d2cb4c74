"""What a mail server that misbehaves answers, and that it is the same every time."""

from pathlib import Path

from stage.manners import Manners, Refusal

BUSY, GONE = "451 later", "550 gone"


def test_a_recipient_is_refused_as_often_as_told_or_for_ever() -> None:
    manners = Manners(refusals=(Refusal("ada@x", BUSY, tries=2), Refusal("bea@x", GONE)))

    assert [manners.to_recipient("ada@x", attempt) for attempt in (1, 2, 3)] == [BUSY, BUSY, None]
    assert [manners.to_recipient("bea@x", attempt) for attempt in (1, 99)] == [GONE, GONE]
    assert manners.to_recipient("cleo@x", 1) is None


def test_a_share_of_the_mails_is_refused_whichever_way_they_come() -> None:
    manners = Manners(share_refused=0.1, seed=3)

    fates = [manners.to_mail(f"runner-{number}@a.test", 1) for number in range(5_000)]
    elsewhere = [manners.to_mail(f"runner-{number}@b.test", 1) for number in range(5_000)]

    assert fates == elsewhere
    assert 400 < sum(fate is not None for fate in fates) < 600


def test_every_try_and_every_seed_is_drawn_anew() -> None:
    def fates(seed: int, attempt: int) -> list[bool]:
        manners = Manners(share_refused=0.5, seed=seed)
        return [manners.to_mail(f"runner-{number}@a.test", attempt) is None for number in range(100)]

    assert len({tuple(fates(seed, attempt)) for seed in (1, 2) for attempt in (1, 2)}) == 4


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    manners = Manners(0.1, 0.2, 5, (Refusal("ada@x", BUSY, tries=1), Refusal("bea@x", GONE)), twice=True)

    manners.write(tmp_path / "manners.json")

    assert Manners.read(tmp_path / "manners.json") == manners
