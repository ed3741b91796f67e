# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table for the eye, and the same rows as JSON."""

from __future__ import annotations

import json
import typing as t

from .server import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write(name: str, rows: Sequence[Mapping[str, t.Any]]) -> None:
    """Write rows to a file of the build directory."""
    path = ROOT / "build" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


def render(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; columns whose cells are numbers stand to the right."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    right = [all(row[column][:1].isdigit() or row[column] in ("", "-") for row in rows) for column in range(len(heads))]
    line = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [line, _row(heads, widths, right), line, *(_row(row, widths, right) for row in rows), line]
    return "\n".join(lines)


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    ]
    return "| " + " | ".join(padded) + " |"
