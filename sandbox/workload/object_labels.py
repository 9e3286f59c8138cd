"""User metadata and tags that are legal in S3 and hard on whoever copies them into another store of objects.

S3 lowers the names of metadata and takes 2 KB of it in all; a tag may hold letters of any script, digits, spaces and
`+ - = . _ : / @`, ten of them on an object. What becomes of them as metadata and tags of a blob is in
docs/connectors/blob-names.md.
"""

from __future__ import annotations

METADATA_LIMIT_BYTES = 2048

METADATA: dict[str, dict[str, str]] = {
    "plain": {"owner": "billing"},
    "hyphen": {"cost-centre": "1", "x-amz-something": "2"},
    "digit first": {"1st": "a", "2": "b"},
    "dot": {"a.b": "1", ".hidden": "2"},
    "names that differ in one separator": {"a-b": "1", "a_b": "2", "a.b": "3", "ab": "4"},
    "names like escapes of others": {"a_2d_b": "1", "a-b": "2", "_": "3", "__": "4", "_x": "5"},
    "every character of a header's name": {"a!#$%&'*+^`|~b": "1"},
    "words of C#": {"class": "1", "namespace": "2", "int": "3", "null": "4"},
    "names of another meaning": {"hdi_isfolder": "true", "etag": "x", "content-type": "y", "replicator": "z"},
    "empty value": {"empty": ""},
    "inner white space": {"spaces": "a  b", "tab": "a\tb"},
    "punctuation": {
        "quotes": "\"'`",
        "separators": "a,b;c=d",
        "slashes": "/\\|",
        "marks": "<>?!#&%",
        "braces": "[]{}()",
    },
    "escapes": {"percent": "%C3%BC%20%", "plus": "a+b", "base64": "w7w=", "hex": "\\u00fc\\x00"},
    "encoded word": {"quoted": "=?UTF-8?Q?=C3=BC?=", "binary": "=?UTF-8?B?w7w=?="},
    "long name": {"n" * 200: "1"},
    "long value": {"v": "x" * (METADATA_LIMIT_BYTES - 1)},
    "long value, all to be escaped": {"v": "%" * (METADATA_LIMIT_BYTES - 1)},
    "many": {f"name-{n:03d}": "v" * 8 for n in range(100)},
}

TAGS: dict[str, dict[str, str]] = {
    "plain": {"team": "billing", "stage": "prod"},
    "ten": {f"tag{n}": str(n) for n in range(10)},
    "every character of both services": {"a b+c-d=e.f_g:h/i": "+ - = . _ : /"},
    "case": {"Team": "1", "team": "2"},
    "longest": {"k" * 128: "v" * 256},
    "empty value": {"empty": ""},
    "at sign": {"mail": "a@example.com", "@": "@"},
    "other letters": {"équipe": "é", "部門": "経理"},
}
