"""The parts of a query as the parser hands them to the compiler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sandbox.cosmos.wire import Json


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: Json


@dataclass(frozen=True, slots=True)
class Parameter:
    """A `@name` whose value comes with the request."""

    name: str


@dataclass(frozen=True, slots=True)
class Path:
    """A property below the item: `c.a["b"][0]`; no segments for the item itself."""

    segments: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One of = != < <= > >=."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Logical:
    """AND or OR over two sides."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Not:
    """NOT over one side."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A function by its upper-case name; COUNT is the only aggregate."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array built from expressions; IN compares with its elements."""

    elements: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """An object built from expressions."""

    members: tuple[tuple[str, Expression], ...]


Expression: TypeAlias = Literal | Parameter | Path | Comparison | Logical | Not | Call | ArrayOf | ObjectOf


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a SELECT list; `text` is how the query spelt its expression."""

    name: str
    expression: Expression
    text: str


@dataclass(frozen=True, slots=True)
class Order:
    """One ORDER BY term; `text` is how the query spelt its path."""

    path: Path
    text: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `value` is set for SELECT VALUE, `fields` for a list, neither for `*`.

    `source` is the text from FROM up to ORDER BY or OFFSET, for rewriting.
    """

    alias: str
    value: Expression | None
    fields: tuple[Field, ...]
    where: Expression | None
    order: tuple[Order, ...]
    top: int | None
    offset: int
    limit: int | None
    selection: str
    source: str

    @property
    def counts(self) -> bool:
        """Whether the query counts instead of listing."""
        counted = [self.value, *(field.expression for field in self.fields)]
        return any(_has_count(expression) for expression in counted)

    @property
    def streams(self) -> bool:
        """Whether items can be answered one by one, in any order, without a query plan."""
        return not (self.order or self.counts or self.offset or self.top is not None or self.limit is not None)


def _has_count(expression: Expression | None) -> bool:
    if isinstance(expression, ArrayOf):
        return any(_has_count(element) for element in expression.elements)
    if isinstance(expression, ObjectOf):
        return any(_has_count(member) for _, member in expression.members)
    return isinstance(expression, Call) and expression.name == "COUNT"
