"""Reads query text into its parts; what the server does not understand is refused with 400."""

from __future__ import annotations

from sandbox.cosmos.errors import CosmosError, bad_request
from sandbox.cosmos.query.expressions import ExpressionParser
from sandbox.cosmos.query.lexer import Token, tokenize
from sandbox.cosmos.query.syntax import Expression, Field, Order, Path, Query

_CLAUSES = ("WHERE", "ORDER", "OFFSET", "GROUP", "JOIN", "IN")


def parse_query(text: str) -> Query:
    """Parse a SELECT query; raises CosmosError 400 with what is not understood."""
    return _QueryParser(text).query()


def parse_condition(text: str) -> Expression:
    """Parse the condition of a patch: `FROM alias WHERE condition`."""
    where = _QueryParser(f"SELECT * {text}").query().where
    if where is None:
        raise bad_request("The condition of a patch must have a WHERE clause.")
    return where


class _QueryParser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._expressions = ExpressionParser(self._tokens, _find_alias(self._tokens))

    def query(self) -> Query:
        parser = self._expressions
        parser.expect_word("SELECT")
        top = parser.integer() if parser.take_word("TOP") else None
        selection_at = parser.peek().start
        value, fields = self._selection()
        source_at = parser.peek().start
        selection = self._text[selection_at:source_at].strip()
        self._from()
        where = parser.expression() if parser.take_word("WHERE") else None
        source = self._text[source_at : parser.peek().start].strip()
        order = self._order()
        offset, limit = self._window()
        if parser.peek().kind != "end":
            raise self._unsupported(parser.peek())
        alias = parser.alias
        return Query(alias, value, fields, where, order, top, offset, limit, selection, source)

    def _selection(self) -> tuple[Expression | None, tuple[Field, ...]]:
        parser = self._expressions
        if parser.take("*"):
            return None, ()
        if parser.take_word("VALUE"):
            return parser.expression(), ()
        fields = [self._field(1)]
        while parser.take(","):
            fields.append(self._field(len(fields) + 1))
        return None, tuple(fields)

    def _field(self, position: int) -> Field:
        parser = self._expressions
        start = parser.peek().start
        expression = parser.expression()
        text = self._text[start : parser.previous().end]
        if parser.take_word("AS"):
            return Field(parser.name(), expression, text)
        last: str | int = position
        if isinstance(expression, Path):
            last = expression.segments[-1] if expression.segments else parser.alias
        return Field(last if isinstance(last, str) else f"${position}", expression, text)

    def _from(self) -> None:
        parser = self._expressions
        parser.expect_word("FROM")
        parser.name()
        if parser.take_word("AS") or not _is_clause(parser.peek()):
            parser.name()

    def _order(self) -> tuple[Order, ...]:
        parser = self._expressions
        if not parser.take_word("ORDER"):
            return ()
        parser.expect_word("BY")
        terms = [self._term()]
        while parser.take(","):
            terms.append(self._term())
        return tuple(terms)

    def _term(self) -> Order:
        parser = self._expressions
        start = parser.peek()
        path = parser.expression()
        if not isinstance(path, Path):
            raise self._unsupported(start)
        text = self._text[start.start : parser.previous().end]
        descending = parser.take_word("DESC")
        if not descending:
            parser.take_word("ASC")
        return Order(path, text, descending)

    def _window(self) -> tuple[int, int | None]:
        parser = self._expressions
        if not parser.take_word("OFFSET"):
            return 0, None
        offset = parser.integer()
        parser.expect_word("LIMIT")
        return offset, parser.integer()

    def _unsupported(self, token: Token) -> CosmosError:
        return bad_request(f"The sandbox does not support this query near {self._text[token.start :][:40]!r}.")


def _find_alias(tokens: list[Token]) -> str:
    for index, token in enumerate(tokens):
        if token.is_word("FROM"):
            names = [t for t in tokens[index + 1 : index + 4] if t.kind == "word"]
            named = [t for t in names if not t.is_word("AS")]
            plain = [t for t in named[:2] if not _is_clause(t)]
            if plain:
                return plain[-1].text
    raise bad_request("The query needs a FROM clause with an alias.")


def _is_clause(token: Token) -> bool:
    return token.kind == "end" or any(token.is_word(word) for word in _CLAUSES)
