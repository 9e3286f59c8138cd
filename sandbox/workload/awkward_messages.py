"""Messages that are legal in SQS and hard on whoever passes them on to another queue.

SQS takes 1 MiB of body and attributes together; of characters tab, line feed, carriage return, U+0020 to U+D7FF, U+E000
to U+FFFD and those beyond U+FFFF; ten attributes, whose names hold letters, digits, `_`, `-` and `.`; and groups of 128
letters, digits and punctuation marks.
"""

from __future__ import annotations

import string
from itertools import chain
from typing import TYPE_CHECKING

from sandbox.workload.awkward import NUMBERS
from sandbox.workload.message_shapes import MessageAttribute, NewMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST_BYTES = 1024 * 1024
GROUP_CHARACTERS = string.ascii_letters + string.digits + string.punctuation
LONGEST_GROUP = 128
LONGEST_NAME = 256
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"

BODIES: dict[str, str] = {
    "one character": "x",
    "a space": " ",
    "spaces around": "  x  ",
    "a line feed": "\n",
    "white control characters": "\t\r\n\t\r\n",
    "line endings of every kind": "a\nb\r\nc\rd\u0085e\u2028f\u2029g",
    "delete and late control characters": "\x7f\u0080\u0085\u009f",
    "byte order mark": "\ufeffx",
    "zero width": "a\u200bb\u200dc\u2060d",
    "right to left": "\u202eabc\u202c עברית",
    "both ends of what is allowed": " \ud7ff\ue000\ufffd\U00010000\U0010ffff",
    "no characters": "\ufdd0\U0001fffe\U0010ffff",
    "private use": "\ue000\uf8ff\U000f0000",
    "emoji": "😀👩‍👩‍👧🇩🇪👍🏽",
    "other scripts": "日本語 ไทย ру́сский עברית 𠮷",  # noqa: RUF001 -- they may confuse
    "not normalised": "cafe\u0301 caf\u00e9 \u212b \u1100\u1161",
    "null": "null",
    "zero": "0",
    "empty object": "{}",
    "empty text in JSON": '""',
    "JSON": '{"a": [1, 2.50, 1e400, "\\u0000", null], "a": "twice"}',
    "half a JSON": '{"a": ',
    "XML": '<?xml version="1.0" encoding="UTF-16"?><a>&amp;]]></a>',
    "base64": "AAECAwQF/+8=",
    "text that is base64 of nothing": "====",
    "quotes and escapes": "\"'`\\\\ %00 %zz \\u0000 \\x00 ${jndi:x} {{x}}",
    "form encoding": "a=b+c&d=%2B%20;e",
    "an SNS notification": '{"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:r:1:t",'
    ' "Message": "{}"}',
    "a pointer of the extended client": '["software.amazon.payloadoffloading.PayloadS3Pointer",'
    '{"s3BucketName":"nowhere","s3Key":"nothing"}]',
    "many lines": "line\n" * 10_000,
    "100 KB": "k" * 100_000,
    "100 KB in emoji": "😀" * 25_000,
    "200 KB, all to be escaped in JSON": '"' * 199_000,
}

LARGE_BODIES: dict[str, str] = {
    "one byte less than 256 KiB": "a" * (256 * 1024 - 1),
    "256 KiB": "b" * (256 * 1024),
    "one byte more than 256 KiB": "c" * (256 * 1024 + 1),
    "256 KiB in emoji": "😀" * (64 * 1024),
    "one byte less than 1 MiB": "d" * (LARGEST_BYTES - 1),
    "1 MiB": "e" * LARGEST_BYTES,
    "1 MiB in emoji": "😀" * (LARGEST_BYTES // 4),
}


def _texts(*names: str) -> dict[str, MessageAttribute]:
    return {name: MessageAttribute("String", name) for name in names}


ATTRIBUTES: dict[str, Mapping[str, MessageAttribute]] = {
    "names with dots": _texts("a.b", "a.b.c", "x.1"),
    "names with hyphens and underscores": _texts("a-b", "a_b", "-", "_", "--", "__a"),
    "names that begin with a digit": _texts("1", "1st", "0x0", "007"),
    "names that differ in case": _texts("Name", "name", "NAME"),
    "names of another meaning": _texts(
        "message_id", "MessageId", "content_type", "x-opt-sequence-number", "Diagnostic-Id", "traceparent", "to"
    ),
    "names of ours": _texts("replicator_sent_at", "replicator_types", "replicator_attribute_x", "replicator_"),
    "names of AWS's own": _texts("awsx", "amazonian", "ExtendedPayloadSize", "SQSLargePayloadSize"),
    "longest name": _texts("n" * LONGEST_NAME),
    "ten": _texts(*(f"attribute{n}" for n in range(10))),
    "every type": {
        "text": MessageAttribute("String", "x"),
        "number": MessageAttribute("Number", "1"),
        "binary": MessageAttribute("Binary", b"x"),
    },
    "types with labels": {
        "text": MessageAttribute("String.json", "{}"),
        "number": MessageAttribute("Number.int", "1"),
        "binary": MessageAttribute("Binary.png", b"\x89PNG"),
        "dots": MessageAttribute("String.a.b.c", "x"),
        "marks": MessageAttribute("String.a-b_c", "x"),
    },
    "longest type": {"text": MessageAttribute("String." + "l" * (256 - len("String.")), "x")},
    "integers": {
        name: MessageAttribute("Number", NUMBERS[name])
        for name in (
            "last_exact", "beyond_double", "beyond_double_negative", "int64", "uint64_plus", "zero", "minus_one",
        )
    },
    "38 digits": {
        name: MessageAttribute("Number", NUMBERS[name])
        for name in ("digits_38", "digits_38_negative", "digits_38_fraction", "digits_38_mixed", "third")
    },
    "magnitudes": {
        name: MessageAttribute("Number", NUMBERS[name])
        for name in ("smallest", "smallest_negative", "large", "largest")
    },
    "numbers as nobody would write them": {
        f"n{n}": MessageAttribute("Number", text)
        for n, text in enumerate(("1.50", "007", "+1", "-0", "1E3", "1e-3", ".5", "5.", "0.0", "1.797e125"))
    },
    "text that is a number": {"n": MessageAttribute("String", "1"), "m": MessageAttribute("String", "1e400")},
    "every byte": {"bytes": MessageAttribute("Binary", bytes(range(256)))},
    "bytes that are no UTF-8": {"bytes": MessageAttribute("Binary", b"\xff\xfe\xc3\x28")},
    "bytes that are text": {"bytes": MessageAttribute("Binary", "ü 😀".encode())},
    "one zero byte": {"bytes": MessageAttribute("Binary", b"\x00")},
    "20 KB of bytes": {"bytes": MessageAttribute("Binary", bytes(range(250)) * 80)},
    "texts": {"blank": MessageAttribute("String", " "), "odd": MessageAttribute("String", BODIES["emoji"] + "\t\r\n")},
    "20 KB of text": {"text": MessageAttribute("String", "ü" * 10_000)},
}  # fmt: skip

LARGE_ATTRIBUTES: dict[str, Mapping[str, MessageAttribute]] = {
    "text of 40 KB": {"text": MessageAttribute("String", "x" * 40_000)},
    "bytes of 40 KB": {"bytes": MessageAttribute("Binary", bytes(40_000))},
    "80 KB together": {f"text{n}": MessageAttribute("String", "x" * 8_000) for n in range(10)},
    "1 MiB together": {"t": MessageAttribute("String", "x" * (LARGEST_BYTES - len("xtString")))},
}

GROUPS: dict[str, str] = {
    "one character": "0",
    "punctuation": string.punctuation,
    "longest": "g" * LONGEST_GROUP,
    "longest, of every character": (GROUP_CHARACTERS * 2)[-LONGEST_GROUP:],
    "slashes": "a/b\\c//d",
    "dots": "..",
    "like an escape": "%2F~replicator~",
    "upper case": "TENANT",
    "lower case": "tenant",
    "like one of ours": "replicator~0",
}

TRACES: dict[str, str] = {
    "root alone": ROOT,
    "all members": f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1",
    "not sampled": f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=0",
    "self and lineage": f"Self=1-67891234-12456789abcdef012345678a;{ROOT};Sampled=?;Lineage=a:1|b:0",
}


def awkward_messages() -> Iterator[tuple[str, NewMessage]]:
    """Every awkward message once, with a label that says what is awkward about it. Labels are distinct."""
    for label, body in chain(BODIES.items(), LARGE_BODIES.items()):
        yield f"body: {label}", NewMessage(body)
    for label, attributes in chain(ATTRIBUTES.items(), LARGE_ATTRIBUTES.items()):
        yield f"attributes: {label}", NewMessage("x", attributes)
    for label, group in GROUPS.items():
        yield f"group: {label}", NewMessage("x", group=group)
    for label, trace in TRACES.items():
        yield f"trace: {label}", NewMessage("x", trace=trace)


def portable_messages() -> Iterator[tuple[str, NewMessage]]:
    """Those that a Service Bus queue of the Standard tier takes."""
    return ((label, message) for label, message in awkward_messages() if message.is_portable)
