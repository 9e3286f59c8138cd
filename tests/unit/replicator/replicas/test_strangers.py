"""Promises of the leader to itself: who has not shown the token is given nothing, asked nothing, and costs little."""

from typing import Any

import anyio
import pytest

from fakes.cluster import Cluster
from fakes.network import Host
from fakes.virtual import in_virtual_time
from replicator.replicas.channel import Channel, ChannelClosedError, RefusedError
from replicator.replicas.invitation import Invitation, read_invitation
from replicator.replicas.session import JOIN_WITHIN_S, MOST_BYTES_OF_A_STRANGER

NOTHING: dict[str, Any] = {"reports": {}}


async def stranger(cluster: Cluster, tasks: anyio.abc.TaskGroup) -> tuple[Channel, Invitation]:
    """A connection to the leader, and what it has noted."""
    invitation = await read_invitation(cluster.place.store.beside())
    assert invitation is not None
    stream = await Host(cluster.internet).connect(invitation)
    assert stream is not None
    channel = Channel(stream, {}, {})
    tasks.start_soon(channel.serve)
    return channel, invitation


@in_virtual_time
async def test_nothing_is_answered_before_the_token_was_seen() -> None:
    cluster = Cluster()
    async with cluster.running("a"), anyio.create_task_group() as tasks:
        channel, invitation = await stranger(cluster, tasks)
        for method in ("beat", "save", "released", "leave", "http", "dead_letters_of", "discarded"):
            with pytest.raises(RefusedError, match="join first"):
                await channel.call(method, NOTHING)
        for token in (None, "", "guess", invitation.token[:-1]):
            with pytest.raises(RefusedError, match="token"):
                await channel.call("join", {"token": token})
        with pytest.raises(RefusedError, match="another version, or another config"):
            await channel.call("join", {"token": invitation.token, "version": 1, "fingerprint": "other"})
        assert cluster.counts() == [4]
        await channel.close()


@in_virtual_time
async def test_who_does_not_join_in_time_or_says_too_much_is_cut_off() -> None:
    cluster = Cluster()
    async with cluster.running("a"), anyio.create_task_group() as tasks:
        silent, _ = await stranger(cluster, tasks)
        loud, _ = await stranger(cluster, tasks)
        with pytest.raises(ChannelClosedError):
            await loud.call("join", {"token": "x" * MOST_BYTES_OF_A_STRANGER})
        await anyio.sleep(JOIN_WITHIN_S + 1)
        with pytest.raises(ChannelClosedError):
            await silent.call("join", {})
