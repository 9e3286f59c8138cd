"""What was done before the migration, and is recorded with it: a rehearsal, and an estimate."""

from collections.abc import Awaitable, Callable

from replicator.clocks import utc_now
from replicator.config.models import MigrationConfig
from replicator.cutover import Watch
from replicator.cutover.fingerprint import fingerprint
from replicator.cutover.rehearsal import EVERYWHERE, NOTE, Claim, Rehearsal, against
from replicator.errors import ConfigurationError
from replicator.ports import StateStore
from replicator.report.freezing import load_frozen
from replicator.report.model import ESTIMATE_NOTE, Estimates

Record = Callable[[str, str, str, str], Awaitable[None]]
"""Notes who does what, to which pipeline, in detail; see `Daemon.record`."""


class Beforehand:
    """Of one migration. `watch` judges by the rehearsal on record."""

    def __init__(self, config: MigrationConfig, store: StateStore, record: Record, watch: Watch) -> None:
        self._config = config
        self._store = store
        self._record = record
        self._watch = watch

    async def take_up(self) -> None:
        """What an earlier run has left."""
        text = await self._store.load_note(EVERYWHERE, NOTE)
        self._watch.rehearsal = None if text is None else Rehearsal.model_validate_json(text)

    async def rehearsed(self, claim: Claim, actor: str) -> Rehearsal:
        """Keeps a rehearsal, in the place of an earlier one. Raises ConfigurationError with all that is against it."""
        demanded = self._config.cutover.rehearsal
        if demanded.is_rehearsal:
            raise ConfigurationError("cutover.rehearsal", "this is a rehearsal itself", "None is demanded of it")
        reasons = against(claim, fingerprint(self._config).fields, utc_now(), demanded.max_age_days)
        if reasons or claim.sealed_at is None:
            raise ConfigurationError("rehearsal", "; ".join(reasons), "Rehearse this config from beginning to end")
        await self._record(actor, "record a rehearsal", "", f"{claim.migration} ({claim.migration_id})")
        recorded = Rehearsal(
            migration=claim.migration,
            migration_id=claim.migration_id,
            fingerprint=claim.fingerprint,
            by=claim.by,
            sealed_at=claim.sealed_at,
            pause_s=claim.pause_s,
            recorded_at=utc_now(),
            recorded_by=actor,
        )
        await self._store.save_note(EVERYWHERE, NOTE, recorded.model_dump_json())
        self._watch.rehearsal = recorded
        return recorded

    async def estimated(self, estimates: Estimates, actor: str) -> None:
        """Keeps what was estimated, in the place of an earlier estimate. Raises ConfigurationError."""
        if await load_frozen(self._store) is not None:
            raise ConfigurationError("report", "the migration is sealed", "Its evidence does not change any more")
        for name in estimates.pipelines:
            if name not in self._config.pipelines:
                raise ConfigurationError(f"pipelines.{name}", "there is no such pipeline", "Estimate this config")
        await self._record(actor, "record an estimate", "", f"made at {estimates.made_at.isoformat()}")
        await self._store.save_note(EVERYWHERE, ESTIMATE_NOTE, estimates.model_dump_json())
