"""Promise: a config is read without any SDK, and a command loads only those of the kinds it opens."""

import subprocess
import sys

SDKS = "aiobotocore azure.cosmos azure.servicebus azure.storage.blob azure.identity"


def loaded_after(statement: str) -> set[str]:
    """Which SDKs a fresh interpreter has loaded then."""
    code = f"import sys; {statement}; print(*(name for name in {SDKS.split()} if name in sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own modules
    return set(done.stdout.split())


def test_the_commands_and_every_config_need_no_sdk() -> None:
    assert not loaded_after(
        "import replicator.cli.run, replicator.cli.check; from connectors import registry; registry()"
    )


def test_a_target_needs_its_own_sdk_and_without_a_key_alone_that_of_credentials() -> None:
    assert loaded_after("import connectors.azure.cosmos.target") == {"azure.cosmos"}
