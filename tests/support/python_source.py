"""Python code as a tree: what it imports, and what it names."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.tool import ROOT

SERVICES = ("queue_service", "email_service", "signup_service")
CLIENT = "baton_client"
PACKAGES = (*SERVICES, "mesh", CLIENT)
# What runs the mesh, shows it and measures it.
PROGRAMS = ("scripts", "stage", "benchmarks", "examples")


def modules(*packages: str) -> list[Path]:
    """Every module of some packages, by its path from the root of the repository."""
    return sorted(path.relative_to(ROOT) for package in packages for path in (ROOT / package).rglob("*.py"))


def read(module: Path) -> str:
    return (ROOT / module).read_text(encoding="utf-8")


def imports(code: str) -> set[str]:
    """The full name of everything that code imports, at its top or anywhere else."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def imports_any(code: str, *packages: str) -> set[str]:
    """What code imports of some packages, or from below them."""
    return {name for name in imports(code) if any(f"{name}.".startswith(f"{package}.") for package in packages)}


def imports_protobuf(code: str) -> set[str]:
    """What code imports of gRPC, of protobuf, and of generated modules."""
    generated = {
        name for name in imports(code) if any(part.endswith(("_pb2", "_pb2_grpc")) for part in name.split("."))
    }
    return generated | imports_any(code, "grpc", "google.protobuf", "google.rpc", "grpc_status", "grpc_health", "baton")


def names(code: str, *dotted: str) -> set[str]:
    """Which of these, such as ``os.environ``, code speaks of, whatever it calls the module or the name."""
    tree = ast.parse(code)
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {name.asname or name.name: name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            aliases |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    spoken = {_dotted(node, aliases) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    return spoken & set(dotted)


def public_verbs(code: str, protocol: str) -> list[str]:
    """The methods of a class."""
    return [
        method.name
        for method in _class(code, protocol).body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def undocumented(code: str) -> Iterator[str]:
    """The module, and its public classes, that have no docstring."""
    tree = ast.parse(code)
    if ast.get_docstring(tree) is None:
        yield "the module"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield node.name


def _dotted(node: ast.Attribute | ast.Name, aliases: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return aliases.get(node.id, "")
    inner = _dotted(node.value, aliases) if isinstance(node.value, ast.Attribute | ast.Name) else ""
    return f"{inner}.{node.attr}" if inner else ""


def _class(code: str, name: str) -> ast.ClassDef:
    return next(node for node in ast.parse(code).body if isinstance(node, ast.ClassDef) and node.name == name)
