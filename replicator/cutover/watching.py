"""Keeps what the statuses have shown so far, and judges by it whenever it is asked."""

from collections.abc import Mapping
from datetime import datetime

from replicator.clocks import elapsed_s, utc_now
from replicator.config.models import MigrationConfig
from replicator.cutover.checks import Evidence
from replicator.cutover.demands import demands_of
from replicator.cutover.fingerprint import fingerprint
from replicator.cutover.readiness import judge
from replicator.cutover.rehearsal import Rehearsal
from replicator.cutover.report import Cutover
from replicator.cutover.steady import Steady, watch
from replicator.cutover.whole import Whole, waived
from replicator.status import PipelineStatus


class Watch:
    """Of one migration, for as long as its process lives: a restart begins anew. `rehearsal` is the one on record."""

    def __init__(self, config: MigrationConfig) -> None:
        self.rehearsal: Rehearsal | None = None
        self._migration = config.migration
        self._demanded = config.cutover.rehearsal
        self._fields = fingerprint(config).fields
        self._demands = demands_of(config)
        self._statuses: Mapping[str, PipelineStatus] = {}
        self._steady: dict[str, Steady] = {}
        self._seen_at: datetime | None = None

    def take(self, statuses: Mapping[str, PipelineStatus], begun_at: float) -> None:
        """Statuses of all pipelines; taking them was begun at this moment of `elapsed_s`, and has just ended."""
        self._steady = {
            name: watch(self._steady.get(name), status, begun_at, self._demands[name])
            for name, status in statuses.items()
        }
        self._statuses = statuses
        self._seen_at = utc_now()

    def judge(self) -> Cutover:
        """As it is at this moment, by the statuses taken last: they age."""
        now = elapsed_s()
        return judge(
            self._migration,
            {name: self._evidence(name, now) for name in self._demands},
            seen_at=self._seen_at,
            judged_at=utc_now(),
            whole=self._whole(),
        )

    def _whole(self) -> Whole:
        return Whole(self._demanded, self._fields, self.rehearsal, utc_now(), waived(self._demanded))

    def _evidence(self, name: str, now: float) -> Evidence | None:
        if name not in self._statuses:
            return None
        return Evidence(self._statuses[name], self._steady[name], now, self._demands[name])
