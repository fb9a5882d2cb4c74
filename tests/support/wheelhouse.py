"""Wheels of our distributions, and environments in which some of them are installed and the others are not."""

import sys
import sysconfig
import venv
import zipfile
from email.parser import HeaderParser
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.tool import ROOT, python

DISTRIBUTIONS = ("protos", "mesh", "queue_service", "email_service", "signup_service", "baton_client")


def build(source: str, target: Path) -> Path:
    """Build the wheel of one distribution, without any network; its path."""
    python("-m", "hatchling", "build", "-t", "wheel", "-d", target, folder=ROOT / source)
    (wheel,) = target.glob("*.whl")
    return wheel


def contents(wheel: Path) -> set[str]:
    """The files in a wheel, without its own records."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def requirements(wheel: Path) -> list[Requirement]:
    """What a wheel says it needs."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = HeaderParser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist") or []
    return [Requirement(line) for line in lines]


def environment(folder: Path, *wheels: Path) -> Path:
    """An environment with these wheels and exactly the third-party distributions that they declare; its Python.

    The latter are linked from this environment, so that nothing has to be fetched.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    for needed in _declared(wheels):
        _link(needed, site)
    return folder / "bin" / "python"


def _declared(wheels: tuple[Path, ...]) -> list[Distribution]:
    """The third-party distributions that some wheels need, and what those need in turn."""
    ours = {canonicalize_name(wheel.name.partition("-")[0]) for wheel in wheels}
    extras = {("", "")} | {
        (canonicalize_name(needed.name), extra)
        for wheel in wheels
        for needed in requirements(wheel)
        for extra in needed.extras
    }
    waiting = []
    for wheel in wheels:
        name = canonicalize_name(wheel.name.partition("-")[0])
        wanted = {"", *(extra for owner, extra in extras if owner == name)}
        waiting += [needed for needed in requirements(wheel) if _applies(needed, wanted)]
    found: dict[str, Distribution] = {}
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        if name in ours or name in found:
            continue
        found[name] = distribution(name)
        further = [Requirement(line) for line in found[name].requires or []]
        waiting += [one for one in further if _applies(one, {"", *needed.extras})]
    return list(found.values())


def _applies(needed: Requirement, extras: set[str]) -> bool:
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)


def _link(installed: Distribution, site: Path) -> None:
    libraries = Path(sysconfig.get_path("purelib"))
    for file in installed.files or []:
        source = Path(str(installed.locate_file(file)))
        if not source.is_relative_to(libraries) or "__pycache__" in source.parts or source.suffix == ".pth":
            continue
        target = site / source.relative_to(libraries)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(source)
