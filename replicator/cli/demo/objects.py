"""A bucket and a container compared, both read without the connectors."""

from collections.abc import Mapping

from replicator.engine.comparing import Comparison
from sandbox.workload import HeldObject


def compare_objects(source: Mapping[str, HeldObject], target: Mapping[str, HeldObject | None]) -> Comparison:
    """Both ways: names, content, headers, metadata and tags; a blob is None where it is not ours. Pure."""
    found = Comparison(source_records=len(source), target_records=sum(held is not None for held in target.values()))
    for key, held in sorted(source.items()):
        if target.get(key) == held:
            found.equal += 1
        elif target.get(key) is None:
            found.missing += 1
            found.name("missing", key)
        else:
            found.different += 1
            found.name("different", key)
    for key, copied in sorted(target.items()):
        if copied is None:
            found.foreign += 1
            found.name("foreign", key)
        elif key not in source:
            found.extra += 1
            found.name("extra", key)
    return found
