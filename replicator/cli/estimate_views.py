"""An estimate for people: a table for each pipeline on a terminal, plain lines elsewhere."""

import math
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from replicator.cli.views import duration_text
from replicator.estimate.arithmetic import SAFETY, MigrationEstimate, PipelineEstimate, Step
from replicator.estimate.figures import Needs
from replicator.estimate.prices import PriceTable, cost
from replicator.wording import counted

HEADS = ("step", "records", "takes", "figures", "costs", "needs")

BYTES = ".byte"
"""What meters of bytes end with."""

UNKNOWN = "unknown"


def render(found: MigrationEstimate, prices: PriceTable, console: Console, *, example_prices: bool) -> None:
    """Everything, the sum last."""
    for pipeline in found.pipelines:
        _print(console, f"{pipeline.name}: {_about(pipeline)}")
        if console.is_terminal:
            console.print(_table(pipeline, prices))
        else:
            for step in pipeline.steps:
                _print(console, f"{pipeline.name}: {_line(step, prices)}")
        for note in pipeline.notes:
            _print(console, f"{pipeline.name}: note: {note}")
    for line in _total(found, prices, example_prices=example_prices):
        _print(console, line)


def _print(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _about(pipeline: PipelineEstimate) -> str:
    size = "" if pipeline.record_bytes is None else f" of {bytes_text(pipeline.record_bytes)} on average"
    known = "an unknown number of records" if pipeline.records is None else counted(pipeline.records, "record")
    changes = pipeline.changes
    if changes is None:
        return f"{known}{size} to copy" + (", changes unknown" if pipeline.follows else "")
    return (
        f"{known}{size} to copy, {changes.mean_per_s:,.1f} changes/s on average and {changes.peak_per_s:,.1f} at the "
        f"busiest ({changes.origin})"
    )


def _table(pipeline: PipelineEstimate, prices: PriceTable) -> Table:
    table = Table(*HEADS)
    for step in pipeline.steps:
        table.add_row(*_cells(step, prices))
    return table


def _line(step: Step, prices: PriceTable) -> str:
    name, records, takes, origin, costs, needs = _cells(step, prices)
    return f"{name}: {records} records, takes {takes} ({origin}), costs {costs}, needs {needs}"


def _cells(step: Step, prices: PriceTable) -> tuple[str, ...]:
    records = UNKNOWN if step.records is None or math.isinf(step.records) else f"{math.ceil(step.records):,}"
    return (
        step.name.value,
        records,
        time_text(step.seconds),
        step.origin.value,
        cost_text(step.needs, prices),
        needs_text(step.needs),
    )


def _total(found: MigrationEstimate, prices: PriceTable, *, example_prices: bool) -> Iterator[str]:
    yield f"before the switch: {time_text(found.lead_s)}, all pipelines side by side"
    yield (
        f"maintenance window: {time_text(found.window_s)}; agree on {time_text(found.suggested_window_s)}, "
        f"{SAFETY:g} times as long"
    )
    basis = "example prices, not yours: see --print-prices and --prices" if example_prices else "by your prices"
    yield f"costs: {cost_text(found.needs, prices)} ({basis})"


def time_text(seconds: float | None) -> str:
    """For people."""
    if seconds is None:
        return UNKNOWN
    return "never ends" if math.isinf(seconds) else duration_text(seconds)


def cost_text(needs: Needs | None, prices: PriceTable) -> str:
    """In the table's currency; what has no price is named."""
    if needs is None:
        return UNKNOWN
    costs = cost(needs, prices.meters)
    amount = f"under 0.01 {prices.currency}" if 0 < costs.amount < 0.01 else f"{costs.amount:,.2f} {prices.currency}"
    return amount + (f" and what has no price: {', '.join(costs.unpriced)}" if costs.unpriced else "")


def needs_text(needs: Needs | None) -> str:
    """By meter."""
    if needs is None:
        return UNKNOWN
    return ", ".join(_amount_text(meter, amount) for meter, amount in needs.items() if amount) or "nothing"


def _amount_text(meter: str, amount: float) -> str:
    if meter.endswith(BYTES):
        return f"{bytes_text(amount)} {meter.removesuffix(BYTES)}"
    return f"{math.ceil(amount):,} {meter}"


def bytes_text(size: float) -> str:
    """In the unit that reads most easily."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= limit:
            return f"{size / limit:,.1f} {unit}"
    return counted(round(size), "byte")
