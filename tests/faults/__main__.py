# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cause every fault, print one table and write build/faults.json."""

from __future__ import annotations

import argparse
import secrets
import sys
import typing as t

from lab import table
from lab.server import LabError, say, server

from . import restores
from .outside import line_of, power_cuts, refused_restores, severed
from .prepare import prepare
from .under_load import under_load

if t.TYPE_CHECKING:
    from lab.server import Server

    from .outside import Counts

# How often, and how often in a hurry. Where there is no choice it is once.
COUNTS = {
    # Rounds of all twelve phases.
    "phases-group": (2, 1),
    "phases-python": (2, 1),
    "kill-group": (6, 3),
    "kill-python": (6, 3),
    "signals": (6, 3),
    "second": (3, 1),
    "full-disk": (12, 3),
    "full-in-delta": (3, 1),
    "read-only": (1, 1),
    "flips": (1000, 20),
    "sealed": (40, 8),
    # Besides those that are always tried.
    "prune-clock": (10, 1),
    # More than there are steps: every one of them.
    "prune-killed": (999, 12),
    "prune-full": (12, 4),
    "flips-restore": (20, 4),
    "truncated": (50, 9),
    "hostile": (1, 1),
    "restore": (1, 1),
    "hung": (4, 2),
    "severed": (1, 1),
    "engine-stop": (2, 1),
    "engine-kill": (2, 1),
    "engine-kill-live": (2, 1),
    "reboot": (2, 1),
    "power-cut": (2, 1),
    # More than there are steps: every one of them.
    "cutover": (999, 4),
    "revert": (999, 4),
    "cutover-orphaned": (2, 1),
    "cutover-engine": (2, 1),
    "cutover-power-cut": (2, 1),
    "stage-killed": (12, 3),
    "stage-full": (3, 1),
    "stage-unfit": (1, 1),
    "stage-flips": (40, 4),
    "unconfirmed": (1, 1),
    "under-load": (50, 4),
}
COLUMNS = ("area", "name", "tried", "survived", "lost", "left_down", "undetected", "holds")


def main() -> int:
    """Run the faults and return the exit code: what does not hold is a row, not an error."""
    parser = argparse.ArgumentParser(prog="tests/faults/run", description="Break things and count what that did.")
    parser.add_argument("--quick", action="store_true", help="fewer attempts of everything")
    parser.add_argument("--only", choices=COUNTS, action="append", help="one line of the table; may be repeated")
    parser.add_argument("--seed", default=secrets.token_hex(3), help="the same seed draws the same moments and bits")
    parser.add_argument("--keep", action="store_true", help="leave the server running afterwards")
    options = parser.parse_args()
    say(f"seed {options.seed}")
    rows: list[Counts] = []
    try:
        with server("faults-a", keep=options.keep) as host:
            baseline = prepare(host)
            restores.prepare(host)
            for line in options.only or COUNTS:
                rows.append(_line(host, line, COUNTS[line][options.quick], options.seed))
                say(f"{line}: {'holds' if rows[-1]['holds'] else 'DOES NOT HOLD'}")
            rows.append(_baseline(host, baseline))
    except LabError as exc:
        print(f"faults: {exc}", file=sys.stderr)
        return 1
    table.write("faults.json", [{column: row[column] for column in COLUMNS} for row in rows])
    print(table.render([column.replace("_", " ") for column in COLUMNS], [_cells(row) for row in rows]))
    print(f"Seed {options.seed}; also in build/faults.json.")
    return 0


def _line(host: Server, line: str, count: int, seed: str) -> Counts:
    if line == "power-cut":
        return power_cuts(host, count, seed)
    if line == "cutover-power-cut":
        return restores.power_cuts(host, count, seed)
    if line == "unconfirmed":
        return restores.unconfirmed(host)
    if line == "restore":
        return refused_restores(host)
    if line == "severed":
        return severed(host)
    if line == "under-load":
        return under_load(host, count)
    return line_of(host, line, "--count", str(count), "--seed", seed)


def _baseline(host: Server, path: str) -> Counts:
    """Check that the first backup has come through all of it."""
    done = host.shell(f"cd {path} && sha256sum --check --strict --quiet SHA256SUMS", accept=range(256))
    whole = done.returncode == 0
    row = {"area": "capture", "name": "the backup from before all this is whole", "tried": 1, "survived": int(whole)}
    return row | {"lost": int(not whole), "left_down": 0, "undetected": 0, "holds": whole}


def _cells(row: Counts) -> list[str]:
    return [("yes" if row[c] else "NO") if c == "holds" else str(row[c]) for c in COLUMNS]


if __name__ == "__main__":
    sys.exit(main())
