"""Facts and tables in HTML. What is given is safe for HTML already. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence

Facts = Mapping[str, str]


def facts(told: Facts) -> str:
    """Names with their values."""
    return "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in told.items()) + "</dl>"


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    figures: Container[int] = (),
    long: Container[int] = (),
    empty: str = "",
) -> str:
    """`figures` are columns of numbers, `long` those whose text may break anywhere. Without rows, `empty` instead."""
    kinds = ["figure" if n in figures else "long" if n in long else "" for n in range(len(heads))]
    classes = [f' class="{kind}"' if kind else "" for kind in kinds]
    cells = ["".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(classes, row, strict=True)) for row in rows]
    if not cells:
        return f'<p class="unknown">{empty}</p>'
    head = "".join(f'<th scope="col"{kind}>{name}</th>' for kind, name in zip(classes, heads, strict=True))
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
