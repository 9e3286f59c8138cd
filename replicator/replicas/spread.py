"""How many partitions each replica gives away so that all have as many as the others, or one more. Pure."""

from collections.abc import Mapping


def surplus(counts: Mapping[str, int]) -> dict[str, int]:
    """For each replica that has too many: how many it should give away.

    Those with the most keep the odd ones, so that nothing moves that need not.
    """
    if not counts:
        return {}
    least, odd = divmod(sum(counts.values()), len(counts))
    by_size = sorted(counts, key=lambda name: -counts[name])
    wanted = {name: least + (place < odd) for place, name in enumerate(by_size)}
    return {name: counts[name] - wanted[name] for name in by_size if counts[name] > wanted[name]}
