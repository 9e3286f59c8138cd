"""The few kinds of panels that the dashboards are made of, and the variables that their queries use."""

from dataclasses import dataclass, field
from typing import TypeAlias

from grafana_foundation_sdk.builders import common as look
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as StatPanel
from grafana_foundation_sdk.builders.statetimeline import Panel as TimelinePanel
from grafana_foundation_sdk.builders.timeseries import Panel as SeriesPanel
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
    VariableRefresh,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, YELLOW, RED, GREY = "green", "yellow", "red", "text"

Steps: TypeAlias = list[tuple[float | None, str]]
"""Colours from these values on; the first is from None."""

Builder: TypeAlias = StatPanel | TimelinePanel | SeriesPanel


@dataclass(frozen=True)
class Query:
    """An expression and the name of what it gives."""

    expression: str
    legend: str = "{{pipeline}}"


@dataclass(frozen=True)
class Shown:
    """What a panel shows. `unit` is one of Grafana's names of units; `texts` stand in the place of values."""

    title: str
    description: str
    queries: list[Query]
    unit: str = "short"
    steps: Steps = field(default_factory=lambda: [(None, GREEN)])
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    width: int = 12
    height: int = 8


YES_NO = {"1": ("yes", GREEN), "0": ("no", RED)}


def stat(shown: Shown) -> StatPanel:
    """The last value, large and coloured."""
    panel = StatPanel().color_mode(BigValueColorMode.BACKGROUND).graph_mode(BigValueGraphMode.NONE)
    panel.reduce_options(look.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    _dress(panel, shown)
    return panel


def timeline(shown: Shown) -> TimelinePanel:
    """A bar for each series, coloured by its value."""
    panel = TimelinePanel().show_value(VisibilityMode.NEVER).row_height(0.8).merge_values(True)
    panel.legend(_legend()).tooltip(_tooltip())
    _dress(panel, shown)
    return panel


def series(shown: Shown) -> SeriesPanel:
    """Lines over time, from zero."""
    panel = SeriesPanel().line_width(1).fill_opacity(10).span_nulls(False).axis_soft_min(0)
    panel.legend(_legend()).tooltip(_tooltip())
    _dress(panel, shown)
    return panel


def _legend() -> look.VizLegendOptions:
    below = look.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    return below.show_legend(True).calcs([])


def _tooltip() -> look.VizTooltipOptions:
    return look.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)


def _dress(panel: Builder, shown: Shown) -> None:
    panel.title(shown.title).description(shown.description).datasource(SOURCE)
    panel.unit(shown.unit).span(shown.width).height(shown.height).no_value("unknown")
    steps = [Threshold(value=value, color=colour) for value, colour in shown.steps]
    panel.thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    if shown.texts:
        panel.mappings([_mapping(shown.texts)])
    for index, query in enumerate(shown.queries):
        asked = Dataquery().expr(query.expression).legend_format(query.legend).ref_id(chr(ord("A") + index))
        panel.with_target(asked.datasource(SOURCE).range())


def _mapping(texts: dict[str, tuple[str, str]]) -> ValueMapping:
    options = {
        value: ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(texts.items())
    }
    return ValueMap(options=options)


def dashboard(title: str, uid: str, description: str) -> Dashboard:
    """An empty one, with the choice of a data source and of a migration."""
    made = Dashboard(title).uid(uid).description(description).tags(["replicator"]).editable().timezone("browser")
    made.time("now-3h", "now").refresh("10s").tooltip(DashboardCursorSync.CROSSHAIR)
    made.with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    made.with_variable(
        choice("migration", "Migration", "label_values(replicator_cutover_ready, migration)").all_value(".*")
    )
    link = DashboardLink("replicator").type(DashboardLinkType.DASHBOARDS).tags(["replicator"])
    return made.link(link.include_vars(True).keep_time(True).as_dropdown(False))


def choice(name: str, label: str, query: str) -> QueryVariable:
    """A variable of several values, all of them unless told otherwise."""
    variable = QueryVariable(name).label(label).datasource(SOURCE).query(query)
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).include_all(True).multi(True)
