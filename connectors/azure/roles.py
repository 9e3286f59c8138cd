"""What replicator must be permitted at Azure, in one place: the pages show it, and `init` writes it. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final

COSMOS_CONTRIBUTOR: Final = "00000000-0000-0000-0000-000000000002"
"""Cosmos DB Built-in Data Contributor."""

BLOB_OWNER: Final = "Storage Blob Data Owner"

BLOB_CONTRIBUTOR: Final = "Storage Blob Data Contributor"
"""On the container of the state alone, which has no index tags."""

BUS_SENDER: Final = "Azure Service Bus Data Sender"
BUS_OWNER: Final = "Azure Service Bus Data Owner"

SWITCHER: Final = "replicator triggers"
SWITCH_ACTIONS: Final = (
    "Microsoft.Web/sites/read",
    "Microsoft.Web/sites/functions/read",
    "Microsoft.Web/sites/config/list/action",
    "Microsoft.Web/sites/config/write",
)

SCOPE: Final = "/subscriptions/$SUBSCRIPTION/resourceGroups/$RESOURCE_GROUP"

HEAD: Final = """#!/bin/sh
# What the daemon's identity needs at Azure: data-plane roles on the targets, and a custom role to switch functions.
# Written by `replicator init`, which has run none of it. Read it, set the blanks, and let somebody run it who may
# assign roles.
# It creates nothing but roles and assignments; the targets themselves are to be made beforehand (config.yaml).
set -eu
: "${SUBSCRIPTION:?id of the subscription}" "${RESOURCE_GROUP:?name of the resource group of the targets}"
: "${PRINCIPAL:?object id of the identity that the daemon runs as}"
"""


@dataclass(frozen=True, slots=True)
class Targets:
    """By name. `functions`: whether Azure functions are switched; `state`: whether the state may be in blobs."""

    cosmos: Sequence[str] = ()
    blobs: Sequence[str] = ()
    queues: Sequence[str] = ()
    functions: bool = False
    state: bool = False


def role_script(targets: Targets) -> str:
    """Commands that assign what these targets need, each scope with blanks as variables of the shell."""
    return HEAD + "".join(
        [
            _cosmos() if targets.cosmos else "",
            _blobs(targets.blobs) if targets.blobs else "",
            _queues(targets.queues) if targets.queues else "",
            _functions() if targets.functions else "",
            _state() if targets.state else "",
        ]
    )


def _cosmos() -> str:
    """On the database: both the containers of records and that of the marker are in it."""
    return f"""
# Cosmos DB: documents are read and written. Data-plane roles cannot create containers.
: "${{COSMOS_ACCOUNT:?name of the Cosmos DB account}}" "${{COSMOS_DATABASE:?name of the database}}"
az cosmosdb sql role assignment create --resource-group "$RESOURCE_GROUP" --account-name "$COSMOS_ACCOUNT" \\
  --role-definition-id {COSMOS_CONTRIBUTOR} --principal-id "$PRINCIPAL" --scope "/dbs/$COSMOS_DATABASE"
"""


def _blobs(containers: Sequence[str]) -> str:
    """On each container alone, and on that of the markers."""
    account = f"{SCOPE}/providers/Microsoft.Storage/storageAccounts/$STORAGE_ACCOUNT"
    lines = "".join(_assignment(BLOB_OWNER, f"{account}/blobServices/default/containers/{name}") for name in containers)
    return f"""
# Blob Storage: blobs, their index tags, and an entry of the containers' metadata.
: "${{STORAGE_ACCOUNT:?name of the storage account}}"
{lines}"""


def _queues(queues: Sequence[str]) -> str:
    """The settings of a queue may be looked at by owners only; that is for `check`, and optional."""
    namespace = f"{SCOPE}/providers/Microsoft.ServiceBus/namespaces/$SERVICEBUS"
    lines = "".join(_assignment(BUS_SENDER, f"{namespace}/queues/{name}") for name in queues)
    return f"""
# Service Bus: messages are sent. "{BUS_OWNER}" instead lets `replicator check` see the queues' settings.
: "${{SERVICEBUS:?name of the Service Bus namespace, without .servicebus.windows.net}}"
{lines}"""


def _functions() -> str:
    """A definition of its own: whoever has it can read all settings of the app."""
    definition = {
        "Name": SWITCHER,
        "IsCustom": True,
        "Description": "Switches functions off and on by application settings.",
        "Actions": list(SWITCH_ACTIONS),
        "AssignableScopes": ["$SCOPE"],
    }
    text = json.dumps(definition, indent=2).replace('"$SCOPE"', f'"{SCOPE}"')
    return f"""
# Function apps: functions are switched by application settings, which whoever has this role can read, secrets included.
: "${{FUNCTION_APP_ID:?resource id of the function app}}"
az role definition create --role-definition "$(cat <<DEFINITION
{text}
DEFINITION
)"
az role assignment create --assignee "$PRINCIPAL" --role {quote(SWITCHER)} --scope "$FUNCTION_APP_ID"
"""


def _state() -> str:
    """Only where it is wished for: by default the state is in a file."""
    scope = f"{SCOPE}/providers/Microsoft.Storage/storageAccounts/$STATE_ACCOUNT"
    assignment = _assignment(BLOB_CONTRIBUTOR, f"{scope}/blobServices/default/containers/$STATE_CONTAINER")
    indented = "".join(f"  {line}\n" for line in assignment.splitlines())
    return f"""
# State of the migration in blobs (state.type: blob), where STATE_CONTAINER is set; the container is made beforehand.
if [ -n "${{STATE_CONTAINER:-}}" ]; then
  : "${{STATE_CONTAINER:?}}" "${{STATE_ACCOUNT:?name of the storage account of the state}}"
{indented}fi
"""


def _assignment(role: str, scope: str) -> str:
    return f'az role assignment create --assignee "$PRINCIPAL" --role {quote(role)} \\\n  --scope "{scope}"\n'
