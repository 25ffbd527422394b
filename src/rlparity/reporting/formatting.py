"""Numbers and names in the form that pages, the terminal and comparisons show."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from rlparity.arms import OURS, at
from rlparity.metrics import Metric
from rlparity.reporting.style import LABELS

NONE = "\N{EN DASH}"
ENDPOINTS = {  # in this order: the first that a pair has is its primary one; {} is the name of the metric
    "auc": "area under the curve",
    "final": "final {}",
    "training_auc": "mean training {}",
    "training_final": "final training {}",
    "time_to_threshold": "time to threshold",
}
SHORT = {  # endpoints where there is little room
    "auc": "area",
    "final": "final",
    "training_auc": "training mean",
    "training_final": "training end",
}


def number(value: Any, digits: int = 3) -> str:
    """A number for a reader: `digits` significant ones, thousands apart, a dash for none."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value) if value not in (None, "") else NONE
    if not math.isfinite(value):
        return NONE if math.isnan(value) else ("\N{MINUS SIGN}∞" if value < 0 else "∞")
    places = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 6)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text.replace("-", "\N{MINUS SIGN}")


def interval(estimate: Any, low: Any, high: Any) -> str:
    """`472 [455, 489]`; without the brackets where there is no interval."""
    if pd.isna(estimate):
        return NONE
    return (
        number(estimate)
        if pd.isna(low) or pd.isna(high)
        else f"{number(estimate)} [{number(low)}, {number(high)}]"
    )


def percent(fraction: Any) -> str:
    """A margin in whole per cent, rounded up so that the claim stays true."""
    if pd.isna(fraction):
        return NONE
    whole = math.ceil(round(100 * float(fraction), 6)) if math.isfinite(fraction) else math.inf
    return f"{whole} %" if whole <= 999 else "> 999 %"


def seconds(value: Any) -> str:
    """A duration in seconds, minutes or hours."""
    if pd.isna(value):
        return NONE
    value = float(value)
    if value < 100:
        return f"{number(value, 2 if value < 10 else 3)} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def whole(value: Any) -> str:
    """A count of seeds or steps; text such as ">1000" stays as it is."""
    try:
        return NONE if pd.isna(value) else f"{float(value):,.0f}"
    except (TypeError, ValueError):
        return str(value)


def p_value(value: Any) -> str:
    """A p value, to three places."""
    return NONE if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def label(implementation: str) -> str:
    """The name of an implementation for readers."""
    if implementation.startswith(at("")):
        return f"{LABELS[OURS]} at {implementation.removeprefix(at(''))}"
    return LABELS.get(implementation, implementation)


def endpoint_title(endpoint: str, metric: str) -> str:
    """An endpoint in words; `metric` is the name of what is measured."""
    return ENDPOINTS.get(endpoint, endpoint).format(metric)


def axis_title(metric: Metric) -> str:
    """The label of an axis: `return`; `error, fraction wrong (lower is better)`."""
    unit = "" if metric.unit == metric.name else f", {metric.unit}"
    return f"{metric.name}{unit}{' (lower is better)' * (metric.better < 0)}"


def scientific(value: float) -> str:
    """A small number with one digit: 4e-15; 0 for none."""
    return NONE if pd.isna(value) else f"{value:.0e}" if value else "0"


def join(names: Iterable[str], most: int = 6) -> str:
    """`a, b and c`; the tail of a long list is counted."""
    names = list(names)
    shown = names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def setting(value: Any) -> str:
    """A hyper-parameter as YAML would write it."""
    return value if isinstance(value, str) else json.dumps(value)


def bind(text: str) -> str:
    """Text in which no line ends between a number and its per cent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")
