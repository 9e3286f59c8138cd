"""Microsoft's emulator of Service Bus and the SQL Server it needs, in two containers on a network of their own."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from testcontainers.core.network import Network

from containers import clouds
from containers.answering import answers
from containers.engine import described, free_port, started
from containers.queues import config
from sandbox.aws import LOOPBACK
from sandbox.servicebus import EMULATOR_KEY, KEY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testcontainers.core.container import DockerContainer

    from sandbox.servicebus import QueueSettings

AMQP_PORT, HTTP_PORT = 5672, 5300
CONFIG = "/ServiceBus_Emulator/ConfigFiles/Config.json"
SQL_HOST = "sql"
SQL_PASSWORD = "Sandbox-only-1"
SQL_DEADLINE_S, EMULATOR_DEADLINE_S = 120.0, 240.0


class ServiceBusContainer:
    """A namespace with these queues. Enter it to start it, leave it to end it."""

    def __init__(self, queues: Mapping[str, QueueSettings]) -> None:
        self.port = 0
        self.http_port = 0
        self._queues = queues
        self._running = ExitStack()

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://{LOOPBACK}:{self.port};SharedAccessKeyName={KEY_NAME};"
            f"SharedAccessKey={EMULATOR_KEY};UseDevelopmentEmulator=true;"
        )

    @property
    def management_endpoint(self) -> str:
        """Where the settings of queues are, in plain HTTP."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            network = starting.enter_context(Network())
            starting.callback(self._start_sql(network).stop)
            starting.callback(self._start_emulator(network).stop)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _start_sql(self, network: Network) -> DockerContainer:
        environment = {"ACCEPT_EULA": "Y", "MSSQL_SA_PASSWORD": SQL_PASSWORD}
        sql = described(clouds.SERVICEBUS_SQL, {}, environment).with_network(network).with_network_aliases(SQL_HOST)
        ready = b"SQL Server is now ready for client connections"
        started(sql, lambda: ready in sql.get_wrapped_container().logs(), SQL_DEADLINE_S)
        return sql

    def _start_emulator(self, network: Network) -> DockerContainer:
        self.port, self.http_port = free_port(), free_port()
        environment = {
            "ACCEPT_EULA": "Y",
            "SQL_SERVER": SQL_HOST,
            "MSSQL_SA_PASSWORD": SQL_PASSWORD,
            "SQL_WAIT_INTERVAL": "0",
        }
        ports = {AMQP_PORT: self.port, HTTP_PORT: self.http_port}
        emulator = described(clouds.SERVICEBUS, ports, environment).with_network(network)
        emulator.with_copy_into_container(json.dumps(config(self._queues)).encode(), CONFIG)
        started(emulator, lambda: answers(self.http_port, "/health"), EMULATOR_DEADLINE_S)
        return emulator
