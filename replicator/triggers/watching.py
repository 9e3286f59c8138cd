"""What is told of the Azure twins that read a pipeline's target. Pure."""

from collections.abc import Mapping

from replicator.status import AzureTriggers
from replicator.triggers.looking import Seen
from replicator.triggers.model import Place, Side


def azure_triggers(seen: Mapping[Place, Seen], names: tuple[str, ...], now: float) -> AzureTriggers | None:
    """Of the entry points of these names, by what was seen of them; None where there are none."""
    if not names:
        return None
    looks = {name: seen.get(Place(name, Side.AZURE)) for name in names}
    on, unknown = [], []
    for name, look in looks.items():
        if look is None or look.state is None or look.state.enabled is None:
            unknown.append(name)
        elif look.state.enabled or not look.state.settled:
            on.append(name)
    ages = [now - look.at for look in looks.values() if look is not None]
    return AzureTriggers(on=on, unknown=unknown, age_s=max(ages, default=None))
