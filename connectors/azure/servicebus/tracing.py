"""The trace header of AWS X-Ray as a W3C trace context, which is what clients of Service Bus look for.

They read `Diagnostic-Id`, and OpenTelemetry `traceparent`; both hold the same text.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-end-to-end-tracing
"""

import re
from typing import Final

ROOT: Final = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
PARENT: Final = re.compile(r"[0-9a-f]{16}")


def trace_parent(header: str) -> str | None:
    """`Root=1-…;Parent=…;Sampled=1` as `00-…-…-01`; None where it names no trace or no parent."""
    fields = dict(field.strip().partition("=")[::2] for field in header.split(";"))
    root, parent = ROOT.fullmatch(fields.get("Root", "")), PARENT.fullmatch(fields.get("Parent", ""))
    if root is None or parent is None:
        return None
    trace = root[1] + root[2]
    if not int(trace, 16) or not int(parent[0], 16):
        return None
    return f"00-{trace}-{parent[0]}-{'01' if fields.get('Sampled') == '1' else '00'}"
