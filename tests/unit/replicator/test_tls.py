"""Promise: who is trusted is said by the config, and a bundle that says nothing is refused by its field."""

import ssl
from pathlib import Path

import pytest

from fakes.authority import CertificateAuthority
from replicator.errors import ConfigurationError
from replicator.tls import trusted_authorities


def test_a_bundle_is_all_that_is_trusted(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    (trusted,) = trusted_authorities(authority.bundle, "source").get_ca_certs()
    assert trusted["subject"] == ((("commonName", "test authority"),),)


@pytest.mark.parametrize("bundle", [True, False])
def test_certificates_and_names_are_verified(tmp_path: Path, *, bundle: bool) -> None:
    context = trusted_authorities(CertificateAuthority(tmp_path).bundle if bundle else None, "source")
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("content", [None, b"", b"\x00", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_bundle_that_cannot_be_used_is_refused_by_its_field(tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(ConfigurationError, match="Name a readable PEM file") as refused:
        trusted_authorities(bundle, "pipelines.orders.source")
    assert refused.value.where == "pipelines.orders.source.ca_bundle"
    assert str(bundle) in refused.value.problem
