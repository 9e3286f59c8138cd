"""Detail: what one pipeline does, and what it costs."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, TextBoxVariable

from dashboards.panels import GREEN, RED, YELLOW, Query, Shown, choice, dashboard, series

OF = '{migration=~"$migration", pipeline=~"$pipeline"}'
BY = "by (pipeline)"
RATE = "[$__rate_interval]"
REPEATED = ("source", "target")


def pipeline() -> Dashboard:
    """A screen or two, for one or several pipelines."""
    made = dashboard("replicator: pipelines", "replicator-pipeline", "What each pipeline does, and what it costs.")
    names = 'label_values(replicator_phase{migration=~"$migration"}, pipeline)'
    made.with_variable(choice("pipeline", "Pipeline", names).all_value(".*"))
    made.with_variable(TextBoxVariable("price").label("Price of a million request units").default_value("0.25"))
    for shown in [*_work(), *_refusals(), *_cost(), *_progress(), *_safety(), *_process()]:
        made.with_panel(series(shown))
    return made


def _rate(metric: str, by: str = "pipeline") -> str:
    return f"sum by ({by}) (rate({metric}{OF}{RATE}))"


def _work() -> list[Shown]:
    latency = f"sum by (pipeline, le) (rate(replicator_apply_latency_seconds_bucket{OF}{RATE}))"
    size = f"sum by (pipeline, le) (rate(replicator_batch_changes_bucket{OF}{RATE}))"
    read = Query(_rate("replicator_changes_read_total", "pipeline, kind"), "{{pipeline}}: read, {{kind}}")
    applied = Query(_rate("replicator_changes_applied_total", "pipeline, kind"), "{{pipeline}}: applied, {{kind}}")
    folded = Query(_rate("replicator_changes_coalesced_total"), "{{pipeline}}: folded into a later one")
    return [
        Shown("Changes", "A second: read, applied, and folded into later ones.", [read, applied, folded], "ops"),
        Shown(
            "Latency of the target",
            "Of single requests that succeeded. Unknown while there are none.",
            [Query(f"histogram_quantile({q}, {latency})", f"{{{{pipeline}}}}: {q}") for q in (0.5, 0.99)],
            "s",
        ),
        Shown("Batches", "The median of changes in a batch.", [Query(f"histogram_quantile(0.5, {size})")]),
        Shown(
            "Requests at once",
            "That may be under way at the target, as found out by trying; and keys of unknown outcome.",
            [
                Query(f"max {BY} (replicator_target_concurrency{OF})"),
                Query(f"max {BY} (replicator_suspect_keys{OF})", "{{pipeline}}: suspect keys"),
            ],
        ),
    ]


def _refusals() -> list[Shown]:
    throttles = [Query(_rate(f"replicator_{side}_throttles_total"), f"{{{{pipeline}}}}: {side}") for side in REPEATED]
    retries = [
        Query(
            _rate(f"replicator_{side}_retries_total", "pipeline, reason"), f"{{{{pipeline}}}}: {side}, {{{{reason}}}}"
        )
        for side in REPEATED
    ]
    return [
        Shown("Throttling", "Requests refused as too many, a second.", throttles, "ops"),
        Shown("Repeated calls", "By reason, a second. Nothing until the first.", retries, "ops"),
    ]


def _cost() -> list[Shown]:
    charge = _rate("replicator_request_charge_total")
    return [
        Shown(
            "Request charge",
            "Request units a second that Cosmos DB charged, and read units of the source.",
            [Query(charge), Query(_rate("replicator_source_read_units_total"), "{{pipeline}}: read at the source")],
        ),
        Shown(
            "Cost of the request charge",
            "For an hour at this rate, at the price above: that of a serverless account. Provisioned capacity costs "
            "what is provisioned, whatever is charged.",
            [Query(f"{charge} * 3600 / 1e6 * $price", "{{pipeline}}, an hour")],
            "currencyUSD",
        ),
    ]


def _progress() -> list[Shown]:
    copied, total = f"max {BY} (replicator_copied_records{OF})", f"max {BY} (replicator_copy_total_records{OF})"
    pace = f"max {BY} (deriv(replicator_copied_records{OF}[10m]))"
    done, whole = f"max {BY} (replicator_copied_bytes{OF})", f"max {BY} (replicator_copy_total_bytes{OF})"
    return [
        Shown(
            "Copied",
            "Of what is to be copied, as far as the source knows.",
            [Query(f"{copied} / {total}"), Query(f"{done} / {whole}", "{{pipeline}}: of the bytes")],
            "percentunit",
        ),
        Shown(
            "The copy takes another",
            "At the pace of the last ten minutes. Nothing where it stands still, or is through.",
            [Query(f"(({total}) - ({copied}) > 0) / ({pace} > 0)")],
            "s",
        ),
    ]


def _safety() -> list[Shown]:
    waiting = f"max by (pipeline, state) (replicator_queue_messages{OF})"
    return [
        Shown(
            "Retention headroom",
            "How long until the source may forget an unread change.",
            [Query(f"min {BY} (replicator_retention_headroom_seconds{OF})")],
            "s",
            steps=[(None, RED), (3_600, YELLOW), (6 * 3_600, GREEN)],
        ),
        Shown(
            "Dead letters",
            "Open now, and refused so far by the processes that run.",
            [
                Query(f"max {BY} (replicator_dead_letters{OF})", "{{pipeline}}: open"),
                Query(f"sum {BY} (replicator_changes_rejected_total{OF})", "{{pipeline}}: refused"),
            ],
        ),
        Shown(
            "Partitions",
            "By state.",
            [Query(f"max by (pipeline, state) (replicator_partitions{OF})", "{{pipeline}}: {{state}}")],
        ),
        Shown("Messages that wait", "At a source that is a queue.", [Query(waiting, "{{pipeline}}: {{state}}")]),
        Shown(
            "The oldest message has waited",
            "Unknown where the service does not say.",
            [Query(f"max {BY} (replicator_queue_oldest_age_seconds{OF})")],
            "s",
        ),
        Shown(
            "Surprises",
            "In the last hour: records later than had been claimed, and messages that may be there twice.",
            [
                Query(f"sum {BY} (increase(replicator_late_records_total{OF}[1h]))", "{{pipeline}}: late"),
                Query(f"sum {BY} (increase(replicator_possible_duplicates_total{OF}[1h]))", "{{pipeline}}: twice"),
            ],
        ),
    ]


def _process() -> list[Shown]:
    of = '{job="replicator", migration=~"$migration"}'
    return [
        Shown(
            "Memory",
            "Resident, of each daemon.",
            [Query(f"process_resident_memory_bytes{of}", "{{instance}}")],
            "bytes",
        ),
        Shown("CPU", "Cores.", [Query(f"rate(process_cpu_seconds_total{of}{RATE})", "{{instance}}")]),
    ]
