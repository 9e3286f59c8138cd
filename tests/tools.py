"""Programs that are not Python packages, which a test may need and a machine may lack."""

import os
import shutil

import pytest

REQUIRE = "REPLICATOR_REQUIRE_TOOLS"

PACKAGES = {"chromium": "chromium", "prometheus": "prometheus", "promtool": "prometheus"}
"""By what package of Debian each program is installed."""


def tool(name: str) -> str:
    """The path of a program. Where it is not installed the test is skipped, or fails if REPLICATOR_REQUIRE_TOOLS=1."""
    path = shutil.which(name)
    if path is not None:
        return path
    missing = f"{name} is not installed (Debian's package {PACKAGES[name]} has it)"
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{missing}, and {REQUIRE}=1")
    pytest.skip(missing)
