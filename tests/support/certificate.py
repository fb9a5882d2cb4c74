"""A certificate of one's own for 127.0.0.1, made by OpenSSL's program."""

import ssl
from pathlib import Path

from tests.support.tool import run, tool

_REQUEST = (
    *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
    *("-subj", "/CN=mail.test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
)


class Certificate:
    """A self-signed certificate: whoever takes ``path`` for an authority trusts it, and nobody else."""

    def __init__(self, folder: Path) -> None:
        self.path, key = folder / "certificate.pem", folder / "key.pem"
        done = run(tool("openssl"), *_REQUEST, "-keyout", key, "-out", self.path)
        assert done.returncode == 0, done.stderr
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """With which a server shows it."""
        self.context.load_cert_chain(self.path, key)
