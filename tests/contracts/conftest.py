import shutil
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.support.tool import ROOT, contract_files, python


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    """Our own .proto files as protoc reads them now, comments included."""
    image = tmp_path_factory.mktemp("contracts") / "image.binpb"
    python(
        *("-m", "grpc_tools.protoc", "--proto_path=protos", "--include_source_info"),
        *(f"--descriptor_set_out={image}", *contract_files()),
    )
    return FileDescriptorSet.FromString(image.read_bytes())


@pytest.fixture(scope="session")
def released() -> FileDescriptorSet:
    """The contracts as they were agreed; a buf image is a FileDescriptorSet with a little more."""
    return FileDescriptorSet.FromString((ROOT / "protos" / "baseline.binpb").read_bytes())


@pytest.fixture
def copied_contracts(tmp_path: Path) -> Path:
    """A copy of the contracts, with buf's configuration, to plant something in."""
    shutil.copytree(ROOT / "protos", tmp_path / "protos", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path
