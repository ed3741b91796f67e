# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One line of the table: ``python3 -m onhost kill-group --count 20 --seed 1``. Reports to the control node in JSON."""

from __future__ import annotations

import argparse
import random
import typing as t

from . import blows, damage, disks, hostile
from .tally import Tally

if t.TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Do what one line of the table says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("line", choices=(*LINES, "hold"))
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--before", default="", help="containers that ran before a power cut")
    parser.add_argument("--known", default="", help="backups that there were before a power cut")
    options = parser.parse_args()
    chance = random.Random(f"{options.line}:{options.seed}")
    if options.line == "hold":
        blows.hold(chance)
        return
    area, name, act = LINES[options.line]
    tally = Tally(area, name)
    if options.line == "power-cut":
        blows.after_power_cut(tally, set(options.before.split(",")), set(filter(None, options.known.split(","))))
    else:
        act(tally, options.count, chance)
    tally.report()


Act: t.TypeAlias = "Callable[[Tally, int, random.Random], None]"


def _nothing(_tally: Tally, _count: int, _chance: random.Random) -> None:
    raise SystemExit("A power cut comes from outside.")


LINES: dict[str, tuple[str, str, Act]] = {
    "kill-group": ("capture", "SIGKILL of the module's whole process group", lambda *a: blows.killed(*a, group=True)),
    "kill-python": (
        "capture",
        "SIGKILL of the module's Python process alone",
        lambda *a: blows.killed(*a, group=False),
    ),
    "signals": ("capture", "HUP, TERM, INT while frozen", blows.interrupted),
    "second": ("capture", "second backup at the same time", lambda tally, count, _chance: blows.doubled(tally, count)),
    "full-disk": ("capture", "full disk: no bytes or no inodes left", disks.full),
    "read-only": (
        "capture",
        "backup root read-only or no directory",
        lambda tally, _count, _chance: disks.read_only(tally),
    ),
    "engine-stop": ("capture", "dockerd stopped while frozen", lambda *a: blows.engine_gone(*a, kill=False)),
    "engine-kill": ("capture", "dockerd killed while frozen", lambda *a: blows.engine_gone(*a, kill=True)),
    "power-cut": ("capture", "power cut of the server while frozen", _nothing),
    "flips": ("trust", "one bit flipped, then verify", damage.flipped),
    "flips-restore": ("restore", "one bit flipped, then import or restore", damage.restored),
    "truncated": ("restore", "truncated archive, no checksum given", damage.truncated),
    "hostile": ("restore", "hostile archive", lambda tally, _count, _chance: hostile.imported(tally)),
}


if __name__ == "__main__":
    main()
