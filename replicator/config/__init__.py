"""The config file: one YAML document, read once into frozen models. `loading` reads it."""

from replicator.config.models import (
    EndpointConfig,
    Frozen,
    HttpConfig,
    LimitsConfig,
    LogConfig,
    MigrationConfig,
    PipelineConfig,
    SourceConfig,
    StateConfig,
    TargetConfig,
    Url,
)

__all__ = [
    "EndpointConfig",
    "Frozen",
    "HttpConfig",
    "LimitsConfig",
    "LogConfig",
    "MigrationConfig",
    "PipelineConfig",
    "SourceConfig",
    "StateConfig",
    "TargetConfig",
    "Url",
]
