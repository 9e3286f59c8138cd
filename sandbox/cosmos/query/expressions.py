"""Reads expressions: a recursive descent over tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.cosmos.errors import bad_request
from sandbox.cosmos.query.lexer import Token, unquote
from sandbox.cosmos.query.syntax import (
    ArrayOf,
    Call,
    Comparison,
    Expression,
    Literal,
    Logical,
    Not,
    ObjectOf,
    Parameter,
    Path,
)

if TYPE_CHECKING:
    from sandbox.cosmos.wire import Json

ARITY = {
    "COUNT": (1, 1),
    "IS_DEFINED": (1, 1),
    "IS_NULL": (1, 1),
    "STARTSWITH": (2, 3),
    "ENDSWITH": (2, 3),
    "CONTAINS": (2, 3),
    "ARRAY_CONTAINS": (2, 2),
}
_CONSTANTS: dict[str, Json] = {"TRUE": True, "FALSE": False, "NULL": None}
_COMPARISONS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})


def _constant(token: Token) -> Json:
    value: Json = unquote(token.text) if token.kind == "string" else json.loads(token.text)
    return value


class ExpressionParser:
    """A cursor over tokens that reads expressions of one alias. Raises CosmosError 400."""

    def __init__(self, tokens: list[Token], alias: str) -> None:
        self._tokens = tokens
        self._at = 0
        self.alias = alias

    def peek(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._at]

    def previous(self) -> Token:
        """The token taken last."""
        return self._tokens[self._at - 1]

    def advance(self) -> Token:
        """Take the next token."""
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def take(self, symbol: str) -> bool:
        """Take the next token if it is this symbol."""
        found = self.peek().kind == "symbol" and self.peek().text == symbol
        self._at += found
        return found

    def take_word(self, word: str) -> bool:
        """Take the next token if it is this keyword."""
        found = self.peek().is_word(word)
        self._at += found
        return found

    def expect(self, symbol: str) -> None:
        """Take a symbol that must come next."""
        if not self.take(symbol):
            raise bad_request(f"Syntax error: expected {symbol!r}, found {self.peek().text!r}.")

    def expect_word(self, word: str) -> None:
        """Take a keyword that must come next."""
        if not self.take_word(word):
            raise bad_request(f"Syntax error: expected {word}, found {self.peek().text!r}.")

    def name(self) -> str:
        """Take a name."""
        token = self.advance()
        if token.kind != "word":
            raise bad_request(f"Syntax error: expected a name, found {token.text!r}.")
        return token.text

    def integer(self) -> int:
        """Take a whole number that is not negative."""
        token = self.advance()
        if not token.text.isdecimal():
            raise bad_request(f"Syntax error: expected a number, found {token.text!r}.")
        return int(token.text)

    def expression(self) -> Expression:
        """Read an expression down to its weakest operator, OR."""
        left = self._conjunction()
        while self.take_word("OR"):
            left = Logical("OR", left, self._conjunction())
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self.take_word("AND"):
            left = Logical("AND", left, self._negation())
        return left

    def _negation(self) -> Expression:
        return Not(self._negation()) if self.take_word("NOT") else self._comparison()

    def _comparison(self) -> Expression:
        left = self._primary()
        token = self.peek()
        if token.kind == "symbol" and token.text in _COMPARISONS:
            self.advance()
            return Comparison("!=" if token.text == "<>" else token.text, left, self._primary())
        negated = self.take_word("NOT")
        if self.take_word("IN"):
            self.expect("(")
            contained = Call("ARRAY_CONTAINS", (ArrayOf(self._list(")")), left))
            return Not(contained) if negated else contained
        return left

    def _primary(self) -> Expression:
        token = self.advance()
        match token.kind:
            case "number" | "string":
                return Literal(_constant(token))
            case "parameter":
                return Parameter(token.text)
            case "symbol":
                return self._group(token)
            case _:
                return self._named(token)

    def _named(self, token: Token) -> Expression:
        if token.text.upper() in _CONSTANTS:
            return Literal(_CONSTANTS[token.text.upper()])
        if token.text == self.alias:
            return Path(tuple(self._segments()))
        if token.kind == "word" and self.take("("):
            return self._call(token.text.upper())
        raise bad_request(f"The sandbox does not understand {token.text or 'the end'!r} in this query.")

    def _group(self, token: Token) -> Expression:
        if token.text == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if token.text == "[":
            return ArrayOf(self._list("]"))
        if token.text == "{":
            return ObjectOf(self._members())
        raise bad_request(f"Syntax error near {token.text!r}.")

    def _call(self, name: str) -> Expression:
        if name not in ARITY:
            raise bad_request(f"The sandbox does not support the function {name}.")
        arguments = self._list(")")
        least, most = ARITY[name]
        if not least <= len(arguments) <= most:
            raise bad_request(f"The function {name} does not take {len(arguments)} arguments.")
        if name == "COUNT" and arguments != (Literal(1),):
            raise bad_request("The sandbox supports COUNT(1) only.")
        return Call(name, arguments)

    def _list(self, closing: str) -> tuple[Expression, ...]:
        elements: list[Expression] = []
        if self.take(closing):
            return ()
        elements.append(self.expression())
        while self.take(","):
            elements.append(self.expression())
        self.expect(closing)
        return tuple(elements)

    def _members(self) -> tuple[tuple[str, Expression], ...]:
        members: list[tuple[str, Expression]] = []
        while not self.take("}"):
            if members:
                self.expect(",")
            token = self.advance()
            name = unquote(token.text) if token.kind == "string" else token.text
            self.expect(":")
            members.append((name, self.expression()))
        return tuple(members)

    def _segments(self) -> list[str | int]:
        segments: list[str | int] = []
        while True:
            if self.take("."):
                segments.append(self.name())
            elif self.take("["):
                segments.append(unquote(self.advance().text) if self.peek().kind == "string" else self.integer())
                self.expect("]")
            else:
                return segments
