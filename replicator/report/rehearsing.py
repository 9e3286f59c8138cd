"""What the report of a rehearsal claims, as whoever is to count it needs it. Pure."""

from replicator.cutover.rehearsal import Claim, End
from replicator.report.model import Report


def claim_of(report: Report) -> Claim | None:
    """None of a report that names no fingerprint, as one of an earlier version."""
    if report.rehearsed is None:
        return None
    switch = report.switch
    by_hand = switch is None or switch.by_hand
    since = report.since_seal
    late = since.late_writes if since else {name: p.late_writes for name, p in report.pipelines.items()}
    return Claim(
        migration=report.migration,
        migration_id=report.migration_id,
        fingerprint=report.rehearsed.fingerprint,
        stage=None if by_hand or switch is None else switch.stage,
        by=switch.by if switch else "",
        began_at=switch.began_at if switch else None,
        sealed_at=switch.sealed_at if switch else None,
        pause_s=switch.pause.seconds if switch and switch.pause else None,
        pipelines={
            name: End(
                sealed_at=pipeline.drain.sealed_at,
                drained_at=pipeline.drain.drained_at,
                late=count.count if (count := late.get(name)) else None,
                records=pipeline.copied.records + (pipeline.changes.applied if pipeline.changes else 0),
            )
            for name, pipeline in report.pipelines.items()
            if pipeline.drain is not None
        },
    )
