"""For applications: a write to a migrated table is not reported as done before both clouds have it.

    from replicator.client import install

    hook = install(boto3.Session(), "http://127.0.0.1:8080", timeout_s=5, exceeded="raise")

It works on any session, client or resource of botocore, boto3, aiobotocore or aioboto3, through botocore's own events,
and needs nothing that is not there with these. See docs/sync.md.
"""

from replicator.client.errors import NotReplicatedError, UnknownTablesError
from replicator.client.hook import AsyncHook, Hook, install
from replicator.client.tables import Migrated

__all__ = ["AsyncHook", "Hook", "Migrated", "NotReplicatedError", "UnknownTablesError", "install"]
