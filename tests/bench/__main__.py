# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure everything, print one table and write build/bench.json."""

from __future__ import annotations

import argparse
import sys
import typing as t
from dataclasses import asdict
from pathlib import Path

from lab import table
from lab.other import other_version
from lab.server import LAB, ROOT, LabError, say, server

from . import capture, csv_load, databases, fleet, playbooks, restores, volumes

if t.TYPE_CHECKING:
    from .subjects import Row

FULL = volumes.Tree(16_000, 2_000_000_000)
QUICK = volumes.Tree(1_600, 200_000_000)
# Nearly all of it is holes.
MANY, FEWER = volumes.Tree(500_000, 20_000_000_000), volumes.Tree(50_000, 2_000_000_000)
CONTACTS = 125_000
MESSAGES = 600_000
# Of the contacts, in what is restored.
FIFTH = 5
PARTS = ("volumes", "capture", "databases", "restores", "csv", "playbooks", "fleet")
# What is restored over a running stack, once and five times as much.
RESTORED = volumes.Tree(10_000, 1_000_000_000)


def main() -> int:
    """Run the measurements and return the exit code: a missed budget is a row, not an error."""
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="Measure against the runbook and bare tools.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data; the ratios mean less then")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured, in turns")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    parser.add_argument("--against", metavar="COMMIT", help="measure stack_backup of another version beside this one")
    parser.add_argument("--keep", action="store_true", help="leave the server running afterwards")
    options = parser.parse_args()
    tree, many, contacts = (QUICK, FEWER, CONTACTS // 10) if options.quick else (FULL, MANY, CONTACTS)
    rows: list[Row] = []
    try:
        with server("bench-a", keep=options.keep) as host:
            host.copy(Path(__file__).parent / "onhost", f"{LAB}/bench")
            host.copy(ROOT / "tests" / "standins" / "seed", f"{LAB}/seed")
            for part in options.only or PARTS:
                if part == "volumes":
                    rows += volumes.rows(host, tree, options.rounds)
                elif part == "capture":
                    with other_version(options.against) as other:
                        rows += capture.rows(host, tree, many, options.rounds, other)
                elif part == "databases":
                    rows += databases.rows(host, contacts, options.rounds)
                elif part == "restores":
                    share = 10 if options.quick else 1
                    less = volumes.Tree(RESTORED.files // share, RESTORED.size // share)
                    rows += restores.rows(host, less, contacts // FIFTH, options.rounds)
                elif part == "csv":
                    rows += csv_load.rows(host, MESSAGES // 10 if options.quick else MESSAGES, options.rounds)
                elif part == "playbooks":
                    rows += playbooks.rows(host, options.rounds)
                else:
                    # It is long, and what the kernel counts hardly differs from one run to the next.
                    rows += fleet.rows(host, 1, fleet.QUICK if options.quick else fleet.SIZES)
    except LabError as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    table.write("bench.json", [asdict(row) for row in rows])
    print(
        table.render(
            ("area", "what", "unit", "ours", "peer", "ratio", "budget", "holds"), [_cells(row) for row in rows]
        )
    )
    print(f"Medians of {options.rounds} interleaved rounds, one of the fleet; also in build/bench.json.")
    missed = sum(not row.holds for row in rows)
    say("every budget holds" if not missed else f"{missed} of {len(rows)} budgets are missed")
    return 0


def _cells(row: Row) -> list[str]:
    numbers = ["-" if number is None else f"{number:.2f}" for number in (row.ours, row.peer, row.ratio)]
    return [row.area, row.name, row.unit, *numbers, row.budget, "yes" if row.holds else "NO"]


if __name__ == "__main__":
    sys.exit(main())
