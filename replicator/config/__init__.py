"""The config file: one YAML document, read once into frozen models. `loading` reads it."""

from replicator.config.models import (
    EndpointConfig,
    Form,
    Frozen,
    HttpConfig,
    LimitsConfig,
    LogConfig,
    MigrationConfig,
    PipelineConfig,
    SourceConfig,
    SqliteStateConfig,
    StateConfig,
    TargetConfig,
    TriggerSideConfig,
    Url,
    mistake,
)

__all__ = [
    "EndpointConfig",
    "Form",
    "Frozen",
    "HttpConfig",
    "LimitsConfig",
    "LogConfig",
    "MigrationConfig",
    "PipelineConfig",
    "SourceConfig",
    "SqliteStateConfig",
    "StateConfig",
    "TargetConfig",
    "TriggerSideConfig",
    "Url",
    "mistake",
]
