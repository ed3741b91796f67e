# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One line of the table: ``python3 -m onhost kill-group --count 20 --seed 1``. Reports to the control node in JSON."""

from __future__ import annotations

import argparse
import random
import typing as t

from . import blows, cutovers, damage, disks, gone, hostile, prunes, sealed, small, stages, under_load, unfit
from .tally import Tally

if t.TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Do what one line of the table says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("line", choices=(*LINES, *ERRANDS))
    parser.add_argument("--how", default="", help="what the line has to know of what was done outside")
    parser.add_argument("--phase", default="live", help="when the connection is lost")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--before", default="", help="containers that ran before a power cut")
    parser.add_argument("--known", default="", help="backups that there were before a power cut")
    options = parser.parse_args()
    chance = random.Random(f"{options.line}:{options.seed}")
    if options.line in ERRANDS:
        ERRANDS[options.line](options, chance)
        return
    area, name, act = LINES[options.line]
    tally = Tally(area, name)
    if options.line == "power-cut":
        gone.after_power_cut(tally, set(options.before.split(",")), set(filter(None, options.known.split(","))))
    elif options.line == "severed":
        gone.severed(tally, options.phase, options.how)
    elif options.line == "cutover-power-cut":
        cutovers.after_power_cut(tally, options.how)
    else:
        act(tally, options.count, chance)
    tally.report()


Act: t.TypeAlias = "Callable[[Tally, int, random.Random], None]"
# What is no line of the table, but has to be done on the server for one.
ERRANDS: dict[str, Callable[[argparse.Namespace, random.Random], object]] = {
    "hold": lambda _options, chance: gone.hold(chance),
    "hold-cutover": lambda options, chance: cutovers.hold(options.count, chance),
    "remember": lambda options, _chance: small.remember(options.how),
    "spoil": lambda _options, _chance: unfit.spoil(),
    "up": lambda _options, _chance: small.up(),
}


def _nothing(_tally: Tally, _count: int, _chance: random.Random) -> None:
    raise SystemExit("This fault comes from outside.")


UNDER_LOAD = "backup while everything writes, and its restore"
LINES: dict[str, tuple[str, str, Act]] = {
    "phases-group": (
        "capture",
        "SIGKILL of the process group at every phase boundary",
        lambda *a: blows.killed_at(*a, group=True),
    ),
    "phases-python": (
        "capture",
        "SIGKILL of the Python process at every phase boundary",
        lambda *a: blows.killed_at(*a, group=False),
    ),
    "kill-group": ("capture", "SIGKILL of the module's whole process group", lambda *a: blows.killed(*a, group=True)),
    "kill-python": (
        "capture",
        "SIGKILL of the module's Python process alone",
        lambda *a: blows.killed(*a, group=False),
    ),
    "signals": ("capture", "HUP, TERM, INT while frozen", blows.interrupted),
    "second": ("capture", "second backup at the same time", lambda tally, count, _chance: blows.doubled(tally, count)),
    "full-disk": ("capture", "full disk: no bytes or no inodes left", disks.full),
    "full-in-delta": ("capture", "disk that is filled up at the moment of the freeze", disks.full_in_delta),
    "read-only": (
        "capture",
        "backup root read-only or no directory",
        lambda tally, _count, _chance: disks.read_only(tally),
    ),
    "hung": ("capture", "cut that hangs for longer than freeze_timeout", lambda t, c, _chance: blows.hung(t, c)),
    "severed": ("capture", "connection killed in the live pass, freeze, delta and dump", _nothing),
    "engine-stop": ("capture", "dockerd stopped while frozen", lambda *a: gone.daemon(*a, kill=False, phase="cut")),
    "engine-kill": ("capture", "dockerd killed while frozen", lambda *a: gone.daemon(*a, kill=True, phase="cut")),
    "engine-kill-live": (
        "capture",
        "dockerd killed in the live pass, services started by hand",
        lambda *a: gone.daemon(*a, kill=True, phase="live"),
    ),
    "reboot": ("capture", "module and watchdog killed while services are stopped, reboot", gone.rebooted),
    "power-cut": ("capture", "power cut of the server while frozen", _nothing),
    "under-load": ("capture", UNDER_LOAD, lambda t, c, _chance: under_load.backed_up(t, c)),
    "resumed": ("capture", UNDER_LOAD, lambda t, _count, _chance: under_load.resumed(t)),
    "flips": ("trust", "one bit flipped in artifact, manifest, signature or audit log, then verify", damage.flipped),
    "sealed": ("trust", "other or no key, truncated or changed ciphertext, then restore", sealed.refused),
    "prune-clock": ("trust", "prune while the clock is a year behind, a month or ten years ahead", prunes.clocks),
    "prune-killed": ("trust", "SIGKILL before every step of a prune", prunes.killed),
    "prune-full": ("trust", "disk full in the middle of a prune", prunes.full),
    "flips-restore": ("restore", "one bit flipped, then import or restore", damage.restored),
    "truncated": ("restore", "truncated archive, no checksum given", damage.truncated),
    "stage-killed": ("restore", "SIGKILL while a restore is being staged", stages.killed),
    "stage-full": ("restore", "full disk while a restore is being staged", lambda t, c, _chance: stages.full(t, c)),
    "stage-unfit": (
        "restore",
        "dump that breaks off at 90 %, dump of a newer PostgreSQL",
        lambda tally, _count, _chance: stages.unfit(tally),
    ),
    "stage-flips": ("restore", "one bit flipped in any file, then staged", stages.flipped),
    "unconfirmed": (
        "restore",
        "playbook crm.continuity.restore over data, unconfirmed",
        lambda tally, _count, _chance: stages.untouched(tally),
    ),
    "cutover": (
        "restore",
        "SIGKILL before every step of the cutover",
        lambda t, c, _chance: cutovers.killed(t, c, payload=cutovers.LIVE),
    ),
    "revert": (
        "restore",
        "SIGKILL before every step of the way back",
        lambda t, c, _chance: cutovers.killed(t, c, payload=cutovers.REVERTED),
    ),
    "cutover-orphaned": ("restore", "cutover and watchdog killed, boot program", cutovers.orphaned),
    "cutover-engine": ("restore", "dockerd killed during the cutover", cutovers.without_engine),
    "cutover-power-cut": ("restore", "power cut of the server during the cutover", _nothing),
    "hostile": ("restore", "hostile archive", lambda tally, _count, _chance: hostile.imported(tally)),
}


if __name__ == "__main__":
    main()
