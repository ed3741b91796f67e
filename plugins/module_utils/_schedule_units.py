# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of systemd, or the table of cron, that run the jobs of a host.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from ._errors import StoreError
from ._schedule_job import CRON
from ._schedule_state import CRON_TABLE

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._schedule_job import Job

UNITS = "/etc/systemd/system"
_FAILED_UNIT = "crm-continuity-failed@.service"
MARK = "# Installed by crm.continuity.schedule"
# When cron looks whether something is due.
EVERY = 10
# As systemd.resource-control(5) has it. systemd ignores anything else, and there would be no limit.
MEMORY = re.compile(r"infinity|100%|[1-9][0-9]?(\.[0-9]+)?%|[1-9][0-9]{0,14}(\.[0-9]+)?[KMGT]?")
_CALENDAR = "OnCalendar="

_SERVICE = """\
{mark}
[Unit]
Description=Run the job {name} of crm.continuity
After=docker.service
OnFailure=crm-continuity-failed@{name}.service

[Service]
Type=oneshot
ExecStart={python} -I {program} run {name}
# It runs already, started by hand.
SuccessExitStatus=75
# Each of its modules has a limit of its own.
TimeoutStartSec=infinity
TimeoutStopSec=10min
# A watchdog brings back what was frozen, whatever dies. So it must not die with the rest.
KillMode=process
OOMPolicy=continue
Nice=10
CPUWeight=50
IOWeight=50
IOSchedulingClass=best-effort
IOSchedulingPriority=7
MemoryMax={memory_max}
UMask=0077
# No file systems of its own: those of the host have to be seen as they are, with the volumes that Docker mounts.
NoNewPrivileges=true
LockPersonality=true
RestrictRealtime=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SyslogIdentifier=crm-continuity
"""

_TIMER = """\
{mark}
[Unit]
Description=When the job {name} of crm.continuity runs

[Timer]
OnCalendar={calendar}
# What was missed while the host was off is done when it is on again.
Persistent=true
# So that hundreds of hosts do not begin at once: by up to so many seconds, the same ones every time.
RandomizedDelaySec={delay}
FixedRandomDelay=true
AccuracySec=1min

[Install]
WantedBy=timers.target
"""

_FAILED = """\
{mark}
[Unit]
Description=Note that the job %i of crm.continuity failed

[Service]
Type=oneshot
ExecStart={python} -I {program} failed %i
TimeoutStartSec=1min
SyslogIdentifier=crm-continuity
"""

_CRON = """\
{mark}: runs what is due, also what was missed while the host was off.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
*/{every} * * * * root nice -n 10 ionice -c 2 -n 7 {python} -I {program} tick 2>&1 | logger -t crm-continuity
"""


@dataclass(frozen=True)
class Ways:
    """How the program is started, and how much memory it and all it starts may use."""

    python: str
    program: str
    memory_max: str


def files(manager: str, jobs: Sequence[Job], ways: Ways) -> dict[str, str]:
    """Return the files that let the service manager, or cron, run the jobs; StoreError for a limit that is none."""
    common = {"mark": MARK, "python": ways.python, "program": ways.program, "memory_max": ways.memory_max}
    if not jobs:
        return {}
    if manager == CRON:
        return {CRON_TABLE: _CRON.format(**common, every=EVERY)}
    if not MEMORY.fullmatch(ways.memory_max):
        raise StoreError(
            f"{ways.memory_max!r} is no amount of memory, and systemd would set no limit at all. Write it like 2G, "
            "512M, 25% or infinity (schedule_memory_max)."
        )
    found = {os.path.join(UNITS, _FAILED_UNIT): _FAILED.format(**common)}
    for job in jobs:
        # A percent sign begins a specifier, and a line ends an expression.
        calendar = " ".join(job.calendar.split()).replace("%", "%%")
        own = {"name": job.name, "calendar": calendar, "delay": job.delay}
        found[os.path.join(UNITS, f"{job.unit}.service")] = _SERVICE.format(**common, **own)
        found[os.path.join(UNITS, f"{job.unit}.timer")] = _TIMER.format(**common, **own)
    return found


def calendar_of(text: str) -> str | None:
    """Return the line of a timer that says when; None for other units."""
    return next((line for line in text.splitlines() if line.startswith(_CALENDAR)), None)
