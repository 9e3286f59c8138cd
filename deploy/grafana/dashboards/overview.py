"""Overview: is it safe to cut over?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.panels import GREEN, GREY, RED, YELLOW, YES_NO, Query, Shown, dashboard, series, stat, timeline

OF = '{migration=~"$migration"}'
BY = "by (migration, pipeline)"


def overview() -> Dashboard:
    """One screen."""
    made = dashboard("replicator: is it safe to cut over?", "replicator-overview", "Every pipeline of a migration.")
    return _answer(_evidence(made))


def _evidence(made: Dashboard) -> Dashboard:
    """The answer, and what it rests upon."""
    ready = Shown(
        "Ready for the cutover",
        "Every check of every pipeline passes or is waived. Unknown where nothing is heard of the daemon.",
        [Query(f"min by (migration) (replicator_cutover_ready{OF})", "ready")],
        texts=YES_NO,
        width=6,
    )
    drain = Shown(
        "A drain would take",
        "As estimated now; unknown while it cannot be told.",
        [Query(f"max by (migration) (replicator_cutover_drain_seconds{OF})", "drain")],
        unit="s",
        steps=[(None, GREEN), (60, YELLOW), (600, RED)],
        width=6,
    )
    phase = Shown(
        "Phase",
        "Of each pipeline: copying, following, draining, sealed, failed.",
        [Query(f"max by (pipeline, phase) (replicator_phase{OF}) == 1", "{{pipeline}}: {{phase}}")],
        texts={"1": ("now", GREEN)},
    )
    lag = Shown(
        "Lag",
        "This clock less the last replicated_through that was heard: of a daemon that is dead it goes on growing. "
        "Nothing is shown while it is unknown, as during the copy, and for a queue that is held.",
        [Query(f"time() - max {BY} (last_over_time(replicator_replicated_through_timestamp_seconds{OF}[1d]))")],
        unit="s",
        steps=[(None, GREEN), (30, YELLOW), (900, RED)],
        width=24,
    )
    return made.with_panel(stat(ready)).with_panel(stat(drain)).with_panel(timeline(phase)).with_panel(series(lag))


def _answer(made: Dashboard) -> Dashboard:
    """Which check of which pipeline is in the way, and what speaks against a switch."""
    checks = Shown(
        "Readiness checks",
        "Green passes or is waived. `replicator cutover status` says what helps.",
        [Query(f"min by (pipeline, check) (replicator_cutover_check{OF})", "{{pipeline}}: {{check}}")],
        texts={"1": ("passes", GREEN), "0": ("fails", RED)},
        width=24,
        height=14,
    )
    since = Shown(
        "In sync for",
        "Of pipelines in mode sync; unknown while they are catching up.",
        [Query(f"time() - max {BY} (replicator_in_sync_since_timestamp_seconds{OF})")],
        unit="s",
        steps=[(None, GREEN)],
        width=8,
    )
    late = Shown(
        "Late writes",
        "At the source after the fence, or after the seal; unknown without a fence.",
        [Query(f"max {BY} (replicator_late_writes{OF})")],
        steps=[(None, GREEN), (1, RED)],
        width=8,
    )
    open_ = Shown(
        "In the way",
        "Open dead letters, records at the target that are not ours, and differences of the last comparison.",
        [
            Query(f"max {BY} (replicator_dead_letters{OF})", "{{pipeline}}: dead letters"),
            Query(f"max {BY} (replicator_foreign_records{OF})", "{{pipeline}}: foreign"),
            Query(f"max {BY} (replicator_verification_differences{OF})", "{{pipeline}}: different"),
        ],
        steps=[(None, GREEN), (1, RED)],
        width=8,
    )
    daemons = Shown(
        "Daemons",
        "1 while Prometheus can scrape it.",
        [Query('up{job="replicator", migration=~"$migration"}', "{{instance}}")],
        texts={"1": ("up", GREEN), "0": ("down", RED)},
        steps=[(None, GREY)],
        width=18,
        height=4,
    )
    replicas = Shown(
        "Replicas that work together",
        "As the one that leads tells; unknown where nobody leads, and where there is one daemon only.",
        [Query(f"max by (migration) (replicator_replicas{OF})", "replicas")],
        width=6,
        height=4,
    )
    made.with_panel(timeline(checks)).with_panel(stat(since)).with_panel(stat(late)).with_panel(stat(open_))
    return made.with_panel(timeline(daemons)).with_panel(stat(replicas))
