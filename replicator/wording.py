"""Counts in messages for people."""


def counted(count: int, one: str, many: str = "") -> str:
    """`1 record`, `2,000 records`; `many` where the plural is not made by an s at the end."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
