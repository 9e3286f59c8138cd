"""Which certificate authorities are trusted when a service is called."""

import ssl
from pathlib import Path

from replicator.errors import ConfigurationError


def trusted_authorities(ca_bundle: Path | None, where: str) -> ssl.SSLContext:
    """Verifies certificates and names against the bundle's authorities alone; without one, against the system's.

    `where` is the path in the config of the side that is called. Raises ConfigurationError for a bundle that is no
    readable PEM file.
    """
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:
        raise ConfigurationError(
            f"{where}.ca_bundle",
            f"{ca_bundle} cannot be used ({error})",
            "Name a readable PEM file with at least one certificate",
        ) from error
