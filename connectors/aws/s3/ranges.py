"""Ranges of keys. Pure.

Keys are compared as Python compares text, by code point, which is the order of their UTF-8 bytes and so of a listing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self
from urllib.parse import quote, unquote

from replicator.model import Partition

LONGEST_KEY_BYTES = 1024

LAST_CHARACTER = "\U0010ffff"
FIRST_SURROGATE, LAST_SURROGATE = 0xD800, 0xDFFF


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The keys after `after`, up to `until`, which is in it; without an end where `until` is None."""

    after: str = ""
    until: str | None = None

    @classmethod
    def of(cls, partition: Partition) -> Self:
        """The inverse of `partition`."""
        _, after, until = partition.id.split(":")
        return cls(unquote(after), unquote(until) or None)

    def partition(self) -> Partition:
        """Carries the range in its id, so that a restart resumes this one whatever the bucket has become."""
        return Partition(f"keys:{quote(self.after, safe='')}:{quote(self.until or '', safe='')}", bounded=True)

    def __contains__(self, key: str) -> bool:
        return self.after < key and (self.until is None or key <= self.until)


def cut(bounds: Sequence[str]) -> tuple[KeyRange, ...]:
    """The ranges between these keys, the first and the last one open: together they hold every key exactly once."""
    inner = sorted({bound for bound in bounds if bound})
    return tuple(KeyRange(after or "", until) for after, until in pairwise([None, *inner, None]))


def spread(places: Sequence[str], parts: int) -> list[str]:
    """Bounds that divide these places into at most so many runs of about the same length."""
    ordered = sorted(set(places))
    return [ordered[len(ordered) * part // parts] for part in range(1, parts) if len(ordered) * part // parts]


def just_before(key: str) -> str:
    """A key, not empty, that is less than this one and has next to nothing in between; empty where there is none."""
    head, last = key[:-1], ord(key[-1])
    if last == 0:
        return head
    before = FIRST_SURROGATE - 1 if last == LAST_SURROGATE + 1 else last - 1
    return filled_up(head + chr(before))


def filled_up(key: str) -> str:
    """The last key that begins with this one and is no longer than a key may be."""
    room = LONGEST_KEY_BYTES - len(key.encode())
    return key + LAST_CHARACTER * (room // len(LAST_CHARACTER.encode()))
