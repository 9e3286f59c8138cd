"""How replicas find the one that leads, and know it: by a note in the state store.

Whoever can read the state store is trusted. The leader makes a key pair and a token for as long as it leads, and notes
the certificate, the token and its address; the connection is encrypted, the certificate is the only one that is
accepted, and the token is asked for.
"""

import contextlib
import json
import os
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from replicator.clocks import utc_now
from replicator.naming import EVERYWHERE
from replicator.ports import StateStore

NOTE = "leader"

VALID = timedelta(days=3650)
"""It ends with the process that made it; clocks of hosts may disagree."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where the leader listens, by host and port, and what it is known by."""

    host: str
    port: int
    token: str
    certificate: str

    def trusting(self) -> ssl.SSLContext:
        """For a connection to nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the certificate itself is known, wherever it is served from
        context.load_verify_locations(cadata=self.certificate)
        return context


@dataclass(frozen=True, slots=True)
class Identity:
    """What the leader is known by, with the key to it. In PEM."""

    certificate: str
    key: str
    token: str

    def serving(self) -> ssl.SSLContext:
        """For the leader's listener."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with _readable(self.certificate + self.key) as path:
            context.load_cert_chain(path)
        return context


def new_identity() -> Identity:
    """Made anew by each leader."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "replicator leader")])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return Identity(public.decode(), private.decode(), secrets.token_urlsafe(32))


async def invite(store: StateStore, invitation: Invitation) -> None:
    """Replaces what the leader before has left."""
    await store.save_note(EVERYWHERE, NOTE, json.dumps(asdict(invitation)))


async def read_invitation(store: StateStore) -> Invitation | None:
    """The last one, whose leader may be gone."""
    text = await store.load_note(EVERYWHERE, NOTE)
    return None if text is None else Invitation(**json.loads(text))


@contextlib.contextmanager
def _readable(text: str) -> Iterator[str]:
    """The path of a file that holds this, in memory where there are such files: `ssl` takes no text."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("identity")
        try:
            os.write(file, text.encode())
            yield f"/proc/self/fd/{file}"
        finally:
            os.close(file)
    else:
        with tempfile.NamedTemporaryFile("w") as named:
            named.write(text)
            named.flush()
            yield named.name
