"""Splits query text into tokens."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from sandbox.cosmos.errors import bad_request

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<parameter>@\w+)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<symbol><=|>=|!=|<>|[=<>(){}\[\],.:*])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of query text; `start` and `end` are offsets into it."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        """Whether this is the given upper-case keyword."""
        return self.kind == "word" and self.text.upper() == word


def tokenize(text: str) -> list[Token]:
    """Split query text; the last token is of kind `end`. 400 for a character that begins no token."""
    tokens: list[Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise bad_request(f"Syntax error near {text[at : at + 20]!r}.")
        kind = match.lastgroup
        tokens.append(Token(kind, match[kind], match.start(kind), match.end(kind)))
        at = match.end()
    return tokens


def unquote(text: str) -> str:
    """The value of a string token; escapes are those of JSON, and `\\'`."""
    inner = text[1:-1].replace("\\'", "'")
    if text[0] == "'":
        inner = re.sub(r'(?<!\\)"', r"\"", inner)
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError as error:
        raise bad_request(f"The string {text} is not valid.") from error
