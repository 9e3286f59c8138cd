"""Which application settings switch a function off. Pure.

The host of Azure Functions looks for `AzureWebJobs.<function>.Disabled` and, since Linux has no dots in the names of
environment variables, for `AzureWebJobs_<function>_Disabled`: one that is `true` or `1` is enough. Names have no case.
"""

from collections.abc import Mapping

ON_WORDS = frozenset({"true", "1"})

Settings = Mapping[str, str]


def names(function: str) -> tuple[str, str]:
    """The one that is written, and the other one that counts too."""
    return f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs_{function}_Disabled"


def ours(settings: Settings, function: str) -> dict[str, str]:
    """Those of this function, spelled as they are."""
    wanted = {name.casefold() for name in names(function)}
    return {name: value for name, value in settings.items() if name.casefold() in wanted}


def is_off(settings: Settings, function: str) -> bool:
    """Whether they switch it off."""
    return any(value.strip().casefold() in ON_WORDS for value in ours(settings, function).values())


def turned(settings: Settings, function: str, *, enabled: bool) -> dict[str, str]:
    """The same settings with the function on or off; equal where it is so already."""
    if is_off(settings, function) is not enabled:
        return dict(settings)
    known = ours(settings, function)
    if enabled:
        return {**settings, **{name: "false" for name, value in known.items() if value.strip().casefold() in ON_WORDS}}
    return {**settings, **dict.fromkeys(known or names(function)[:1], "true")}


def put_back(settings: Settings, function: str, saved: Settings) -> dict[str, str]:
    """The same settings with those of the function as they were, absent ones absent."""
    known = ours(settings, function)
    return {**{name: value for name, value in settings.items() if name not in known}, **saved}
