"""A pipeline's status as a daemon might tell it."""

from replicator.status import MigrationStatus, PipelineStatus

FINE = PipelineStatus(
    name="orders", phase="following", copy_stage="swept", repairing=False, begins_in_s=0, epoch=1, failure="", copied=5,
    copy_total=5, copied_per_s=0, copy_eta_s=0, read=9, applied=9, coalesced=0, rejected=0, late=0, applied_per_s=1.5,
    replicated_through=None, lag_s=1.21, stream_lag_s=1.2, retention_headroom_s=None, partitions={}, dead_letters=0,
    suspect_keys=0, concurrency=1, degraded={}, problems=[],
)  # fmt: skip
"""One that needs nobody's attention."""


def but(status: PipelineStatus, **changes: object) -> PipelineStatus:
    """The status with some members changed."""
    assert changes.keys() <= PipelineStatus.model_fields.keys()
    return PipelineStatus.model_validate({**dict(status), **changes})


def told(**pipelines: PipelineStatus) -> MigrationStatus:
    """The status of a migration of these."""
    return MigrationStatus(migration="shop", pipelines=pipelines)
