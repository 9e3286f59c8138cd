"""What every AWS connector may be told about reaching its service."""

from pydantic import Field

from replicator.config import EndpointConfig, SourceConfig, Url


class AwsAccess(EndpointConfig):
    """Credentials come from the ordinary chain: environment, profile, web identity, container or instance role."""

    region: str | None = Field(
        default=None, min_length=1, description="AWS region. Default: from the environment or the profile."
    )
    profile: str | None = Field(
        default=None, min_length=1, description="Named profile of the shared config files. Default: none."
    )
    endpoint: Url | None = Field(default=None, description="URL of the service, for private endpoints. Default: AWS.")


class AwsSourceConfig(AwsAccess, SourceConfig):
    """Base of every source at AWS."""
