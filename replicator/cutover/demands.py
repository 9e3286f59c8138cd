"""What is demanded of each pipeline before it counts as ready, from the config."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from replicator.config.models import MigrationConfig, PipelineConfig
from replicator.model import Mode

DEPTH_MAX_AGE_S = 60.0
"""How old the depth of a queue may be; it is asked for every few seconds."""

TRIGGERS_MAX_AGE_S = 120.0
"""How old what is known of triggers may be; they are looked at every half minute."""


@dataclass(frozen=True, slots=True)
class Demands:
    """The limits of one pipeline, in seconds. `waived` names checks that do not count, with the reasons."""

    max_lag_s: float
    steady_s: float
    max_gap_s: float
    verification_max_age_s: float
    foreign_max_age_s: float
    min_retention_headroom_s: float
    sync: bool = False
    azure_triggers: bool = False
    waived: Mapping[str, str] = field(default_factory=dict)


def demands_of(config: MigrationConfig) -> dict[str, Demands]:
    """Of every pipeline, by its name."""
    twins = {trigger.pipeline for trigger in config.triggers.values() if trigger.azure is not None}
    return {
        name: _demands(config, pipeline, azure_triggers=name in twins) for name, pipeline in config.pipelines.items()
    }


def _demands(config: MigrationConfig, pipeline: PipelineConfig, *, azure_triggers: bool) -> Demands:
    cutover, own = config.cutover, pipeline.cutover
    return Demands(
        max_lag_s=cutover.max_lag_s if own.max_lag_s is None else own.max_lag_s,
        steady_s=cutover.steady_s,
        max_gap_s=cutover.max_gap_s,
        verification_max_age_s=cutover.verification_max_age_s,
        foreign_max_age_s=cutover.foreign_max_age_s,
        min_retention_headroom_s=cutover.min_retention_headroom_s,
        sync=Mode(pipeline.mode) is Mode.SYNC,
        azure_triggers=azure_triggers,
        waived={str(check): reason for check, reason in own.waive.items()},
    )
