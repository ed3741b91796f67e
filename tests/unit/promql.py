# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an expression of Prometheus comes to over samples in memory: as much of it as our rules use.

The expression is read by the parser of promql-parser, which refuses what Prometheus refuses.
"""

from __future__ import annotations

import operator
import typing as t
from dataclasses import dataclass

import promql_parser as promql

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
AGGREGATIONS: dict[str, Callable[[list[float]], float]] = {"max": max, "min": min, "sum": sum, "count": len}


@dataclass(frozen=True)
class Sample:
    """A value of a metric at a Unix time; Prometheus takes one that is older than five minutes for gone."""

    name: str
    labels: Labels
    value: float
    at: float


class Evaluator:
    """Evaluates at one moment over samples."""

    def __init__(self, samples: Iterable[Sample], now: float) -> None:
        self._samples = list(samples)
        self._now = now

    def evaluate(self, expression: str) -> Vector | float:
        """Return the value of an expression; raises ValueError for one that is none."""
        return self._value(promql.parse(expression))

    def _value(self, node: t.Any) -> t.Any:
        if isinstance(node, promql.NumberLiteral):
            return node.val
        if isinstance(node, promql.ParenExpr):
            return self._value(node.expr)
        if isinstance(node, promql.VectorSelector):
            return self._select(node, 300.0)
        if isinstance(node, promql.Call):
            return self._call(node)
        if isinstance(node, promql.AggregateExpr):
            return self._aggregate(node)
        if isinstance(node, promql.BinaryExpr):
            return self._binary(node, self._value(node.lhs), self._value(node.rhs))
        raise NotImplementedError(type(node).__name__)

    def _select(self, node: t.Any, window: float) -> Vector:
        assert not node.matchers.matchers, "no selectors by label yet"
        fresh = [s for s in self._samples if s.name == node.name and self._now - window <= s.at <= self._now]
        return {sample.labels: sample.value for sample in sorted(fresh, key=lambda sample: sample.at)}

    def _call(self, node: t.Any) -> t.Any:
        name = node.func.name
        if name == "time":
            return self._now
        if name == "max_over_time":
            (matrix,) = node.args
            return self._select(matrix.vector_selector, matrix.range.total_seconds())
        raise NotImplementedError(name)

    def _aggregate(self, node: t.Any) -> Vector:
        groups: dict[Labels, list[float]] = {}
        kept = set(node.modifier.labels) if node.modifier else set()
        for labels, value in self._value(node.expr).items():
            groups.setdefault(only(labels, kept), []).append(value)
        return {labels: float(AGGREGATIONS[str(node.op)](values)) for labels, values in groups.items()}

    def _binary(self, node: t.Any, left: t.Any, right: t.Any) -> t.Any:
        op = str(node.op)
        matching = node.modifier.matching if node.modifier else None
        if matching is not None:
            assert matching.type == promql.LabelModifierType.Include, "ignoring() is not tried"
        on = set(matching.labels) if matching is not None else None

        def key(labels: Labels) -> Labels:
            return labels if on is None else only(labels, on)

        if op in ("and", "or", "unless"):
            there = {key(labels) for labels in right}
            if op == "or":
                ours = {key(labels) for labels in left}
                return {**left, **{labels: value for labels, value in right.items() if key(labels) not in ours}}
            return {labels: value for labels, value in left.items() if (key(labels) in there) == (op == "and")}
        if isinstance(left, float) and isinstance(right, float):
            return ARITHMETIC[op](left, right)
        if isinstance(left, float):
            return {labels: ARITHMETIC[op](left, value) for labels, value in right.items()}
        others = dict.fromkeys(left, right) if isinstance(right, float) else right
        pairs = {labels: (value, others[labels]) for labels, value in left.items() if labels in others}
        if op in COMPARISONS:
            return {labels: one for labels, (one, other) in pairs.items() if COMPARISONS[op](one, other)}
        return {labels: ARITHMETIC[op](one, other) for labels, (one, other) in pairs.items()}


def only(labels: Labels, kept: set[str]) -> Labels:
    """Return those of the labels that have these names."""
    return frozenset(label for label in labels if label[0] in kept)


def metrics_of(expression: str) -> set[str]:
    """Return the names of the metrics that an expression is about."""
    found: set[str] = set()

    def visit(node: t.Any) -> None:
        if isinstance(node, promql.VectorSelector):
            found.add(node.name)
        elif isinstance(node, promql.MatrixSelector):
            found.add(node.vector_selector.name)
        for child in ("expr", "lhs", "rhs"):
            if hasattr(node, child):
                visit(getattr(node, child))
        for argument in getattr(node, "args", ()):
            visit(argument)

    visit(promql.parse(expression))
    return found
