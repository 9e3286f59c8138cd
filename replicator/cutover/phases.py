"""The phase of a whole migration. Pure."""

from collections.abc import Iterable

from replicator.model import Phase

ORDER = (Phase.FAILED, Phase.COPYING, Phase.FOLLOWING, Phase.DRAINING, Phase.SEALED, Phase.COPIED)
"""From the least on. `copied` is the end of a pipeline that has nothing else to do."""


def least_phase(phases: Iterable[str]) -> str:
    """The least of the pipelines' phases; empty where there is none, as while starting.

    A phase that is not known here counts as the least of all, since nothing good may be made of it.
    """
    return min(phases, key=_rank, default="")


def _rank(phase: str) -> int:
    return ORDER.index(Phase(phase)) if phase in set(Phase) else -1
