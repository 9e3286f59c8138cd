"""The dead letters of some keys, in one bucket: the open ones, the versions that are not wanted, and what has become of
all others, counted. All pure; a bucket is never changed but made anew.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from connectors.azure.state.rows import Members, read_letter
from replicator.model import DeadLetter, DeadLetterSummary, LetterCount, Outcome, Rejection
from replicator.state.letters import MOST_REASONS, OTHERS, nameless
from replicator.state.rows import instant, text

BUCKETS = 64
"""Of a pipeline. A save reads and writes the buckets of its keys whole, so they are to stay small."""

Bucket = Mapping[str, Any]
Tallies = Mapping[str, Mapping[str, int]]
"""By reason and outcome."""

EMPTY: Bucket = {"open": {}, "closed": {}, "discarded": {}}


def bucket_of(key: str) -> str:
    """The name of the bucket of a key."""
    return f"{int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % BUCKETS:02}"


def by_bucket(keys: Iterable[str]) -> dict[str, list[str]]:
    """The keys of each bucket."""
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(bucket_of(key), []).append(key)
    return found


def added(bucket: Bucket, partition: str, rejections: Iterable[Rejection], now: datetime) -> Bucket:
    """With these refused; one for a key that has one already replaces it and counts up."""
    letters = dict(bucket["open"])
    for rejection in rejections:
        earlier: Members | None = letters.get(rejection.key)
        committed_at = text(rejection.committed_at)
        if earlier is not None:
            both = (earlier["committed_at"], committed_at)
            committed_at = None if None in both else min(both)
        letters[rejection.key] = {
            "partition": partition,
            "reason": rejection.reason,
            "committed_at": committed_at,
            "first_seen": earlier["first_seen"] if earlier else text(now),
            "last_seen": text(now),
            "count": earlier["count"] + 1 if earlier else 1,
            "payload": asdict(rejection.payload),
        }
    return {**bucket, "open": letters}


def closed(bucket: Bucket, letters: Sequence[DeadLetter], outcome: Outcome) -> tuple[Bucket, list[DeadLetter]]:
    """Without those of these that have not been counted up since they were read, and which they are."""
    gone = [letter for letter in letters if _is_open(bucket, letter)]
    discarded = dict(bucket["discarded"])
    if outcome is Outcome.DISCARDED:
        discarded |= {letter.key: letter.payload.version for letter in gone}
    keys = {letter.key for letter in gone}
    left = {key: members for key, members in bucket["open"].items() if key not in keys}
    reasons = Counter(nameless(letter.reason, letter.key) for letter in gone)
    tallies = tallied(bucket["closed"], reasons, outcome)
    return {"open": left, "closed": tallies, "discarded": discarded}, gone


def tallied(tallies: Tallies, reasons: Mapping[str, int], outcome: Outcome) -> Tallies:
    """With these added: a bounded number of reasons, nothing left out of the sum."""
    made = {reason: dict(by_outcome) for reason, by_outcome in tallies.items()}
    for reason, number in reasons.items():
        told = reason if reason in made or len(made) < MOST_REASONS else OTHERS
        counts = made.setdefault(told, {})
        counts[outcome.value] = counts.get(outcome.value, 0) + number
    return made


def merged(all_tallies: Iterable[Tallies]) -> Tallies:
    """All of them as one."""
    made: Tallies = {}
    for tallies in all_tallies:
        for reason, by_outcome in tallies.items():
            for outcome, number in by_outcome.items():
                made = tallied(made, {reason: number}, Outcome(outcome))
    return made


def open_reasons(buckets: Iterable[Bucket]) -> dict[str, int]:
    """How many are open of each reason, the rarer ones together."""
    found = Counter(nameless(each["reason"], key) for bucket in buckets for key, each in bucket["open"].items())
    kept = dict(found.most_common(MOST_REASONS))
    others = found.total() - sum(kept.values())
    return {**kept, OTHERS: kept.get(OTHERS, 0) + others} if others else kept


def counted(buckets: Sequence[Bucket], before: Tallies) -> list[LetterCount]:
    """See `StateStore.count_letters`."""
    opened = [LetterCount(reason, Outcome.OPEN, number) for reason, number in open_reasons(buckets).items()]
    tallies = merged([before, *(bucket["closed"] for bucket in buckets)])
    return opened + [
        LetterCount(reason, Outcome(outcome), number)
        for reason, by_outcome in sorted(tallies.items())
        for outcome, number in sorted(by_outcome.items())
    ]


def listed(pipeline: str, bucket: Bucket, keys: Collection[str] | None = None) -> Iterator[DeadLetter]:
    """The open ones, of these keys or of all."""
    for key, members in bucket["open"].items():
        if keys is None or key in keys:
            yield read_letter(pipeline, key, members)


def summary(bucket: Bucket) -> DeadLetterSummary:
    """Of the open ones of a bucket."""
    commits = [instant(members["committed_at"]) for members in bucket["open"].values()]
    known = [commit for commit in commits if commit is not None]
    return DeadLetterSummary(len(commits), min(known, default=None), len(known) < len(commits))


def summed(summaries: Sequence[DeadLetterSummary]) -> DeadLetterSummary:
    """Of all buckets."""
    oldest = min((s.oldest_commit for s in summaries if s.oldest_commit is not None), default=None)
    return DeadLetterSummary(sum(s.count for s in summaries), oldest, any(s.copied_row for s in summaries))


def expired(bucket: Bucket, before: datetime) -> tuple[Bucket, int]:
    """Without the bodies of those last refused before then, and how many these were."""
    letters, number = dict(bucket["open"]), 0
    for key, members in letters.items():
        if datetime.fromisoformat(members["last_seen"]) < before and members["payload"]["body"] is not None:
            letters[key] = {**members, "payload": {**members["payload"], "body": None}}
            number += 1
    return {**bucket, "open": letters}, number


def age(letter: DeadLetter) -> tuple[datetime, str, str]:
    """What orders all dead letters."""
    return letter.first_seen, letter.pipeline, letter.key


def _is_open(bucket: Bucket, letter: DeadLetter) -> bool:
    members = bucket["open"].get(letter.key)
    if members is None:
        return False
    found = read_letter(letter.pipeline, letter.key, members)
    return (found.count, found.first_seen, found.last_seen) == (letter.count, letter.first_seen, letter.last_seen)
