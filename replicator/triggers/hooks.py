"""What no connector knows how to switch: commands, webhooks, and what people do. Their configs; nothing is run here."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from replicator.config import EndpointConfig, TriggerSideConfig, Url

Argument = Annotated[str, Field(max_length=4096)]

OnFailure = Literal["stop", "continue"]

ON_FAILURE = "stop: the step ends with an error. continue: it is logged, and the step goes on as if it had worked."


class CommandConfig(TriggerSideConfig):
    """A program on the daemon's machine."""

    type: Literal["command"]
    off: list[Argument] = Field(min_length=1, max_length=100, description="Program and arguments that turn it off.")
    on: list[Argument] = Field(min_length=1, max_length=100, description="Program and arguments that turn it on.")
    timeout_s: float = Field(
        default=30.0, gt=0, le=3600, description="It is killed, with all that it has started, after so many seconds."
    )
    on_failure: OnFailure = Field(default="stop", description=ON_FAILURE)


class WebhookConfig(EndpointConfig, TriggerSideConfig):
    """A service that is told."""

    type: Literal["webhook"]
    url: Url = Field(description="Where it is told, by a POST of JSON; any answer from 200 to 299 is a success.")
    token: SecretStr | None = Field(
        default=None, min_length=1, description="Bearer token; better by ${VARIABLE} than in the file. Default: none."
    )
    timeout_s: float = Field(default=30.0, gt=0, le=3600, description="It must have answered within so many seconds.")
    on_failure: OnFailure = Field(default="stop", description=ON_FAILURE)


class ManualConfig(TriggerSideConfig):
    """What a person does, and signs off."""

    type: Literal["manual"]
    off: str = Field(min_length=1, max_length=2000, description="What has to be done to turn it off.")
    on: str = Field(min_length=1, max_length=2000, description="What has to be done to turn it on.")
