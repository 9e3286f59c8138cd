"""Object keys that are legal in S3 and hard on whoever copies them into another store of objects.

S3 takes any text of 1 to 1,024 bytes of UTF-8. What becomes of each kind as a blob name is in
docs/connectors/blob-names.md, whose tables have a row for every kind named here.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_BYTES = 1024

KINDS: dict[str, tuple[str, ...]] = {
    "plain": ("plain.txt", "nested/deep/plain.txt", "0", "~", "_", "-"),
    "sub-delimiter": (
        "a!b", "a$b", "a&b", "a'b", "a(b)", "a*b", "a,b", "a;b=c", "a=b", "a:b", "a@b", "http://example.com/x",
    ),
    "space": (
        "a b", " leading", "trailing ", " ", "  ", "inside/ /space", "segment /end", "dot. ", "no\u00a0break", "\u3000",
    ),
    "plus": ("a+b", "+", "a+b c", "a%2Bb", "++"),
    "percent": ("100%", "%", "%%", "%2F", "%2f", "%25", "%252F", "%zz", "%0", "a%20b", "%C3%A9", "%00", "%u0041"),
    "question or hash": ("?", "#", "a?b=c&d", "a#b", "a?sv=2020&sig=x", "?comp=list", "a?b#c?d", "#?"),
    "bracket or quote": ("[a]", "{a}", "<a>", "a^b", "`a`", "a|b", '"a"', "'", '"', "<?xml?>", "&amp;", "]]>"),
    "slash": (
        "/", "//", "///", "/leading", "//leading", "trailing/", "trailing//", "a//b", "a///b", "/a/", "a/b/", "a/ /b",
    ),
    "object and folder of one name": ("twin", "twin/", "twin/child", "twin//child"),
    "leading dot": (".gitignore", "a/.npmrc", "..a", ".a/b", "...a"),
    "dot segment": (
        ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a/b/../../c", "a/./", "a/../", "./", "../", "./.",
        "a//../b", "/../a", "../twin",
    ),
    "escaped dot segment": ("%2e/a", "%2e%2e/a", "a/%2E%2E/b", ".%2Fa"),
    "dot at the end": (
        "...", "file.", "file..", "folder./file", "folder../file", "a/b.", "a/b./c./d", "a.b.", "a/.../b.c", "file./",
    ),
    "backslash": ("\\", "a\\b", "\\a", "a\\", "a\\..\\b", "a/\\b", "C:\\x\\y.txt"),
    "what others would become": ("a", "b", "c", "a/b", "a/c", "file", "folder/file", "C:/x/y.txt"),
    "control": (
        "\x00", "a\x00b", "\x01", "a\x07b", "\x08", "\x0b\x0c", "\x1b[31m", "\x1f", "a/\x01\x05/b",
    ),
    "white control": ("\t", "\n", "\r", "line\nbreak", "line\r\nbreak", "tab\tbed", "ends\n"),
    "late control": (
        "\x7f", "a\x7fb", "\u0080", "\u0081", "\u0085", "\u008d", "\u0090", "\u009f", "a\u0085b",
    ),
    "not in XML": ("\ufffe", "\uffff", "a\uffffb"),
    "no character": ("\ufdd0", "\ufdd1", "\ufdef", "\U0001fffe", "\U0001ffff", "\U0010ffff", "a\U0001fffeb"),
    "private use": ("\ue000", "\uf8ff", "\uf003", "\U000f0000", "\U0010fffd"),
    "special": (
        "\ufff9", "\ufffc", "\ufffd", "\ufeff", "\ufeffbom", "\u200b", "\u2028", "\u2029", "\u202eright", "\u061c",
    ),
    "emoji": ("😀", "👩‍👩‍👧", "🇩🇪", "a😀b/😀", "❤️", "👍🏽"),
    "other scripts": (
        "ü", "日本語/キー", "עברית", "ру́сский", "ไทย", "𠮷", "İ", "ı", "ß", "ſ", "ж", "ﬁ",  # noqa: RUF001 -- they may confuse
    ),
    "case twin": ("Case", "case", "CASE", "cASE/x", "CASE/x", "ÄÖ", "äö"),
    "normalisation twin": (
        "caf\u00e9", "cafe\u0301", "\u212b", "\u00c5", "A\u030a", "\uac00", "\u1100\u1161", "\u2126", "\u03a9",
    ),
    "between the orders": (
        "order\ud7ff", "order\uf900", "order\uff5e", "order\U00010000", "order\U0001f600", "order\u00ff", "order~",
        "order", "order!", "order-", "order/", "order0", "order/a", "orderA", "ordera",
    ),
    "name of another meaning": (
        "$root", "$logs", "$web/index.html", "$", "robots.txt", "favicon.ico", "_$folder$", "a_$folder$", "CON", "NUL",
        "aux.txt", "__azurite_db_blob__.json", "constructor", "__proto__", "null", "undefined", "soap/x",
        "index.html", "~1", "a;b", "web.config",
    ),
    "long": (
        "l" * LONGEST_BYTES, "%" * LONGEST_BYTES, " " * LONGEST_BYTES, "é" * 512, "語" * 341, "😀" * 256,
        "s" * 255 + "/" + "t" * 255, "u" * 1023,
    ),
    "many segments": ("/".join("p" * 254), "/".join("q" * 255), "/".join("r" * 512), "/" * LONGEST_BYTES),
}  # fmt: skip
"""Keys by what is awkward about them. A dot at the end is that of a segment."""


def object_keys() -> Iterator[tuple[str, str]]:
    """Every awkward key once, with its kind."""
    return chain.from_iterable(((kind, key) for key in keys) for kind, keys in KINDS.items())
