"""The pieces of a saved view of MLflow's runs page, as the page's own JavaScript reads them.

Source of the format: mlflow 3.17 and 3.18, the page's own JavaScript (``ExperimentPageUIState``,
``runs-charts.types``); it is not a documented interface, so the pages must work without it, and do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

from ftbench.tracking.scores import AVERAGE

MAX_TAG = 20_000
"""Limit of an experiment tag's value; MLflow refuses a longer one."""

_FIXED_COLUMNS = {
    "0": 73,
    "attributes.`Run Name`": 290,
    "runDateAndNestInfo": 120,
    "duration": 60,
}
"""The page's own columns and their widths in pixels, the check box first."""


def table(search: str, columns: dict[str, int]) -> dict[str, Any]:
    """The table's part of a view: best average first.

    Args:
        search: Filter, in MLflow's search language.
        columns: Such as ``metrics.`bench/avg``` with widths in pixels, in the order to show.
    """
    return {
        "searchFilter": search,
        "orderByKey": f"metrics.`{AVERAGE}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": list(columns),
        "columnOrder": [*_FIXED_COLUMNS, *columns],
        "columnWidths": {**_FIXED_COLUMNS, **columns},
        "runsHiddenMode": "FIRST_20_RUNS",
        "groupBy": None,
        "autoRefreshEnabled": True,
        "hideEmptyCharts": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def charts(sections: list[dict[str, Any]], cards: list[dict[str, Any]]) -> dict[str, Any]:
    """The charts' part of a view."""
    return {
        "compareRunSections": sections,
        "compareRunCharts": cards,
        "isAccordionReordered": True,
    }


def section(
    name: str, *, is_open: bool = True, columns: int = 3, height: int = 360
) -> dict[str, Any]:
    """A section of charts.

    Args:
        name: Unique in the view.
        is_open: Else it is folded away.
        columns: Charts beside each other.
        height: Of each chart, in pixels.
    """
    return {
        "uuid": _uuid("section", name),
        "name": name,
        "display": is_open,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
        "cardHeight": height,
    }


def bars(section_name: str, key: str, title: str = "") -> dict[str, Any]:
    """A bar per run with its value of a metric."""
    return {**_card("BAR", section_name, key, title), "metricKey": key, "runsCountToCompare": 20}


def curve(
    section_name: str, key: str, title: str = "", *, has_points: bool = False
) -> dict[str, Any]:
    """A metric over steps, a line per run; with points where a line may have but one."""
    return {
        **_card("LINE", section_name, key, title),
        "metricKey": key,
        "runsCountToCompare": 20,
        "selectedMetricKeys": [key],
        "xAxisKey": "step",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "useGlobalLineSmoothing": False,
        "displayPoints": has_points,
    }


def parallel(
    section_name: str, title: str, params: Sequence[str], metrics: Sequence[str]
) -> dict[str, Any]:
    """A line per run through its params and scores; runs without one of them are not drawn."""
    return {
        **_card("PARALLEL", section_name, "all", title),
        "selectedParams": list(params),
        "selectedMetrics": list(metrics),
        "showAllRuns": False,
        "runsCountToCompare": 50,
    }


def difference(section_name: str, title: str, baseline_run_id: str) -> dict[str, Any]:
    """Every metric of every run, with its difference against one run."""
    return {
        **_card("DIFFERENCE", section_name, baseline_run_id, title),
        "chartName": title,
        "compareGroups": ["Model metrics"],
        "baselineColumnUuid": baseline_run_id,
        "showChangeFromBaseline": True,
        "showDifferencesOnly": False,
        "runsCountToCompare": 20,
    }


def _card(kind: str, section_name: str, key: str, title: str) -> dict[str, Any]:
    card = {
        "uuid": _uuid(kind, section_name, key),
        "type": kind,
        "metricSectionId": _uuid("section", section_name),
        "deleted": False,
        "isGenerated": False,
    }
    return card | ({"displayName": title} if title else {})


def _uuid(*parts: str) -> str:
    """A stable id, so that the same view is the same text."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]


def pack(name: str, view: dict[str, Any], now_ms: int) -> str:
    """The tag's value that holds a view; one that is too large loses its charts.

    Args:
        name: What the page's list of views calls it.
        view: Of ``table`` and ``charts``.
        now_ms: Milliseconds since the epoch.
    """
    value = _pack(name, view, now_ms)
    if len(value) > MAX_TAG:
        without_charts = {**view, "compareRunCharts": None, "compareRunSections": None}
        value = _pack(name, without_charts, now_ms)
    return value


def _pack(name: str, view: dict[str, Any], now_ms: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(view).encode(), 9)).decode()
    state = f"deflate;{packed}"
    return json.dumps({"name": name, "createdAt": now_ms, "updatedAt": now_ms, "state": state})


def view_of(tag_value: str) -> Any:
    """The view inside a tag's value, to see whether anything changed; None when unreadable."""
    try:
        state = json.loads(tag_value)["state"]
        packed = base64.b64decode(state.removeprefix("deflate;"))
        return json.loads(zlib.decompress(packed))
    except (ValueError, KeyError, TypeError, zlib.error):
        return None
