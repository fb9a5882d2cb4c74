"""How code is cut: names that hide nothing, files that fit a head, storage that speaks in few verbs."""

import ast
import sys
from importlib import import_module
from pathlib import Path

import pytest

from queue_service.storage import verbs
from tests.support.python_source import PACKAGES, PROGRAMS, SERVICES, modules, public_verbs, read, undocumented

VAGUE = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "base_utils"}
GENERATED = ("_pb2.py", "_pb2_grpc.py")
LONGEST = 300
MOST_VERBS = 10
STORES = [
    (Path("queue_service/storage/base.py"), "MessageStore"),
    (Path("email_service/storage/base.py"), "EmailStore"),
    (Path("signup_service/storage/base.py"), "RegistrationStore"),
]


def hand_written() -> list[Path]:
    return [module for module in modules(*PACKAGES, *PROGRAMS, "protos") if not module.name.endswith(GENERATED)]


def hides_stdlib(module: Path) -> bool:
    """Whether a module has the name of one of Python's own, which it would hide when run from its folder."""
    return module.stem in sys.stdlib_module_names and module.stem not in {"__init__", "__main__"}


def vague(module: Path) -> bool:
    return not VAGUE.isdisjoint({module.stem, *module.parts[:-1]})


def test_no_module_hides_one_of_pythons_own() -> None:
    assert [module for module in modules(*PACKAGES, *PROGRAMS) if hides_stdlib(module)] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [module for module in hand_written() if vague(module)] == []


def test_no_file_is_longer_than_a_head_can_hold() -> None:
    assert {str(module): count for module in hand_written() if (count := read(module).count("\n")) > LONGEST} == {}


@pytest.mark.parametrize(
    ("module", "wrong"),
    [
        ("queue_service/queue.py", True),
        ("email_service/email.py", True),
        ("mesh/signal.py", True),
        ("mesh/__main__.py", False),
        ("mesh/clock.py", False),
    ],
)
def test_a_planted_name_of_pythons_own_is_found(module: str, wrong: bool) -> None:
    assert hides_stdlib(Path(module)) is wrong


@pytest.mark.parametrize(
    ("module", "wrong"), [("mesh/utils.py", True), ("mesh/common/clock.py", True), ("mesh/clock.py", False)]
)
def test_a_planted_name_that_says_nothing_is_found(module: str, wrong: bool) -> None:
    assert vague(Path(module)) is wrong


@pytest.mark.parametrize(("module", "store"), STORES, ids=lambda value: str(value))
def test_a_store_speaks_in_few_verbs(module: Path, store: str) -> None:
    spoken = [verb for verb in public_verbs(read(module), store) if verb != "close"]

    assert 0 < len(spoken) <= MOST_VERBS


def test_the_brokers_store_speaks_in_few_verbs() -> None:
    spoken = {verb.__name__ for verb in verbs.Verb.__subclasses__()}  # slots make each class twice

    assert 0 < len(spoken) <= MOST_VERBS


def test_a_planted_verb_too_many_is_found() -> None:
    code = "class Store(Protocol):\n" + "\n".join(f"    def verb{number}(self) -> None: ..." for number in range(11))

    assert len(public_verbs(code, "Store")) > MOST_VERBS


@pytest.mark.parametrize("package", [*PACKAGES, *(f"{service}.storage" for service in SERVICES), "baton"])
def test_every_package_says_what_it_is(package: str) -> None:
    assert (import_module(package).__doc__ or "").strip()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_and_public_class_says_what_it_is(package: str) -> None:
    found = {str(module): bare for module in modules(package) if (bare := list(undocumented(read(module))))}

    assert found == {}


def test_a_planted_class_without_a_word_is_found() -> None:
    assert list(undocumented('"""A module."""\nclass Bare: ...\nclass _Private: ...')) == ["Bare"]
    assert list(undocumented("x = 1")) == ["the module"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_main_decides_nothing(service: str) -> None:
    tree = ast.parse(read(Path(service, "__main__.py")))

    assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Try | ast.For) for node in ast.walk(tree))
