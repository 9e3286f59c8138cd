"""What the trigger of an Azure function may be told. Loads no SDK."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from replicator.config import EndpointConfig, TriggerSideConfig, Url, mistake

PUBLIC_ENDPOINT = "https://management.azure.com"

APP = (
    r"^/subscriptions/[^/?#\s]+/resource[Gg]roups/[^/?#\s]+/providers/[Mm]icrosoft\.[Ww]eb/sites/[^/?#\s]+"
    r"(/slots/[^/?#\s]+)?$"
)


class FunctionConfig(EndpointConfig, TriggerSideConfig):
    """A function of a function app."""

    type: Literal["function"]
    app: str = Field(pattern=APP, max_length=1000, description="Resource id of the function app, or of its slot.")
    function: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,126}$", description="Name of the function, as the app lists it."
    )
    endpoint: Url = Field(
        default=PUBLIC_ENDPOINT, description="URL of Azure Resource Manager, which other clouds have elsewhere."
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Bearer token, for local servers; those of Azure end within hours. Default: "
        "DefaultAzureCredential.",
    )
    settle_s: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        description="How long it may take until the app says that the function is off or on, in seconds.",
    )

    @model_validator(mode="after")
    def _no_credential_in_the_clear(self) -> Self:
        if self.token is None and not self.endpoint.startswith("https:"):
            raise mistake("would send a credential without encryption", "Use https, or give a token of a local server")
        return self
