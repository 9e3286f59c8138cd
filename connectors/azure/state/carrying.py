"""Everything that a tree of blobs holds, read and written as `replicator.state.contents` tells it."""

import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from connectors.azure.state import letters as boxes
from connectors.azure.state.cells import each
from connectors.azure.state.letters import EMPTY, Bucket
from connectors.azure.state.rows import Members, checkpoint_members, read_checkpoint
from connectors.azure.state.tree import NO_ROOT, Tree
from replicator.model import DeadLetter, LetterCount, Outcome
from replicator.state.contents import Closed, Entry, Noted, Reached, Remembered, Unwanted
from replicator.state.rows import read_state, state_text, text

PAGE = 200
"""Children that are read at once."""


async def read_pipeline(tree: Tree, pipeline: str) -> AsyncIterator[Sequence[Entry]]:
    """All that is kept of one, a bounded number at a time, or one bucket of dead letters."""
    root = (await tree.root(pipeline)).body
    if root["state"] is not None:
        yield [Remembered(pipeline, read_state(json.dumps(root["state"])))]
    counts: Counter[tuple[str, str]] = Counter()
    _count(counts, root["closed"])
    for kind, read in READERS.items():
        names = [name for name in root["children"] if name.startswith(f"{kind}:")]
        size = 1 if kind == "letters" else PAGE
        for start in range(0, len(names), size):
            found = await tree.children(pipeline, kind, names[start : start + size])
            for body in found.values() if kind == "letters" else ():
                _count(counts, body["closed"])
            yield [entry for name, body in found.items() for entry in read(pipeline, name.partition(":")[2], body)]
    yield [Closed(pipeline, LetterCount(r, Outcome(outcome), number)) for (r, outcome), number in counts.items()]


async def write_pipeline(tree: Tree, pipeline: str, entries: Sequence[Entry]) -> None:
    """Adds or replaces these, which are all of that pipeline."""
    children = dict(_children(entries))
    if children:
        await tree.save(pipeline, children)
    if any(isinstance(entry, Remembered | Closed) for entry in entries):
        await tree.update_root(pipeline, lambda root: _with(root, entries))
    buckets: dict[str, list[Entry]] = {}
    for entry in entries:
        if isinstance(entry, DeadLetter | Unwanted):
            buckets.setdefault(f"letters:{boxes.bucket_of(entry.key)}", []).append(entry)
    await tree.ensure(pipeline, buckets, EMPTY)

    async def fill(name: str) -> None:
        await tree.change(pipeline, name, lambda bucket: _filled(bucket, buckets[name]), blind=False)

    await each(fill, buckets)


async def clear_pipeline(tree: Tree, pipeline: str) -> None:
    """Forgets all of it. The root stays: a former holder of the lease must find one of our term."""
    await tree.update_root(pipeline, lambda _: {**NO_ROOT, "incarnation": uuid.uuid4().hex})
    await tree.sweep(pipeline)


def _read_letters(pipeline: str, _: str, bucket: Bucket) -> Iterator[Entry]:
    yield from boxes.listed(pipeline, bucket)
    yield from (Unwanted(pipeline, key, version) for key, version in bucket["discarded"].items())


READERS: dict[str, Callable[[str, str, Any], Iterable[Entry]]] = {
    "checkpoint": lambda pipeline, _, members: [Reached(pipeline, read_checkpoint(members))],
    "note": lambda pipeline, name, note: [Noted(pipeline, name, note)],
    "letters": _read_letters,
}
"""By kind of child."""


def _count(counts: Counter[tuple[str, str]], tallies: boxes.Tallies) -> None:
    """Adds these up exactly: nothing is put together as rare, so that it comes out of the other store as it was."""
    for reason, by_outcome in tallies.items():
        for outcome, number in by_outcome.items():
            counts[reason, outcome] += number


def _children(entries: Sequence[Entry]) -> Iterator[tuple[str, Any]]:
    for entry in entries:
        match entry:
            case Reached(_, checkpoint):
                yield f"checkpoint:{checkpoint.partition.id}", checkpoint_members(checkpoint)
            case Noted(_, name, note):
                yield f"note:{name}", note


def _with(root: Mapping[str, Any], entries: Sequence[Entry]) -> Mapping[str, Any]:
    state, closed = root["state"], {reason: dict(counts) for reason, counts in root["closed"].items()}
    for entry in entries:
        match entry:
            case Remembered(_, remembered):
                state = json.loads(state_text(remembered))
            case Closed(_, count):
                closed.setdefault(count.reason, {})[count.outcome.value] = count.count
    return {**root, "state": state, "closed": closed}


def _filled(bucket: Bucket, entries: Sequence[Entry]) -> Bucket:
    opened, discarded = dict(bucket["open"]), dict(bucket["discarded"])
    for entry in entries:
        match entry:
            case DeadLetter():
                opened[entry.key] = _members(entry)
            case Unwanted(_, key, version):
                discarded[key] = version
    return {**bucket, "open": opened, "discarded": discarded}


def _members(letter: DeadLetter) -> Members:
    return {
        "partition": letter.partition,
        "reason": letter.reason,
        "committed_at": text(letter.committed_at),
        "first_seen": text(letter.first_seen),
        "last_seen": text(letter.last_seen),
        "count": letter.count,
        "payload": asdict(letter.payload),
    }
