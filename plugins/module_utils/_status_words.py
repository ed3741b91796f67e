# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of each problem, and how moments and durations are said.

A problem carries the name of its text and the facts in it beside the English message, so that the control node can
say the same in another language: report/problems.yml has the same names with the same facts. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import datetime
import string
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Units = t.Sequence[str]
# Seconds, minutes, hours and days.
UNITS: Units = ("seconds", "minutes", "hours", "days")

# What is told of a stack comes after "Stack <name>: ".
TEXTS: Mapping[str, str] = {
    "failed": "the last try to back it up, at {at:moment}, failed: {error}",
    "failed_silently": "the last try to back it up, at {at:moment}, failed.",
    "never": "there is no backup of it. Run crm.continuity.backup.",
    "never_anything": (
        "Nothing is backed up on this host, and no stack of a known CRM runs here. Start the stack, or name it in "
        "crm_stacks and describe it in crm_profiles."
    ),
    "stale": (
        "it can only be restored to {at:moment}, which is {age:span} ago; {limit:g} hours are allowed. Find out why "
        "nothing was backed up since, and run crm.continuity.backup."
    ),
    "stale_without_any": "none of its backups is whole, so it cannot be restored. Run crm.continuity.backup now.",
    "clock_of_backup": (
        "its newest backup is of {at:moment}, which is in the future of this host. Set the clock (timedatectl), and "
        "take a new backup."
    ),
    "clock_ahead": (
        "The clock of the host is {skew:span} ahead of that of the control node. Set it (timedatectl set-ntp true): "
        "backups are named and aged by it."
    ),
    "clock_behind": (
        "The clock of the host is {skew:span} behind that of the control node. Set it (timedatectl set-ntp true): "
        "backups are named and aged by it."
    ),
    "damaged": "backup {id} is damaged: {error}. Take a new one, and find out what happened to the disk.",
    "damaged_before": "{ids} cannot be restored. Run crm.continuity.verify to see why.",
    "damaged_root": "{error}. Mend the disk, run this as root (become), or set crm_backup_root.",
    "anomalous": (
        "backup {id} is out of the ordinary: {anomalies} Look at the data; if all is as it should be, run "
        "crm.continuity.hold with hold_state=accepted."
    ),
    "too_small": (
        "backup {id} has {size:d} bytes, and min_bytes is {limit:.15g}. Look at what it holds "
        "(crm.continuity.backup_info), or set crm_alerts.min_bytes for this stack."
    ),
    "frozen_long": (
        "its services stood still for {seconds:.1f} seconds for backup {id}; {limit:g} are allowed. Look at the load "
        "and the disk of the host at that time."
    ),
    "unverified": (
        "no backup was verified in {limit:g} days. The last one was verified at {at:moment}. Run crm.continuity.verify."
    ),
    "unverified_ever": ("no backup was verified in {limit:g} days. None ever was. Run crm.continuity.verify."),
    "undrilled": (
        "no backup was restored for a proof in {limit:g} days. The last one was drilled at {at:moment}. Run a drill."
    ),
    "undrilled_ever": "no backup was restored for a proof in {limit:g} days. None ever was. Run a drill.",
    "not_uploaded": ("no backup was copied elsewhere since {at:moment}. Look at the last upload, and run it again."),
    "not_uploaded_ever": "no backup was copied elsewhere ever. Look at the last upload, and run it again.",
    "disk_gone": ("The file system of {root} cannot be looked at: {error}. Mount it, or set crm_backup_root."),
    "disk": (
        "{path} is {percent} % full ({free:d} bytes are free), and the limit is {limit:g} %. Prune backups, enlarge "
        "the disk or set crm_backup_root to another one."
    ),
    "half_installed": "The host lacks {packages}, so no backup can be taken. Run crm.continuity.prepare.",
    "log": "{error} Run crm.continuity.audit, and find out who changed it.",
    "versions": (
        "The timers of this host use version {installed} of the collection, and the control node has {version}. Run "
        "crm.continuity.schedule."
    ),
    "uncovered": (
        "Stack {name} ({profiles}) runs here and was never backed up. Run crm.continuity.backup, or set "
        "crm_alerts.stacks.{name}.expect_backups to false."
    ),
    "timer_unjudged": "The timer {timer} cannot be judged: {error}",
    "timer_inactive": (
        "Nothing will start the timer {timer}: {unit}.timer is not active. Run crm.continuity.schedule again."
    ),
    "timer_without_cron": (
        "Nothing will start the timer {timer}: cron does not run, or lacks its table. Start cron, or run "
        "crm.continuity.schedule again."
    ),
    "timer_overdue": "The timer {timer} was due at {at:moment} and did not run.",
    "timer_overdue_again": "The timer {timer} was due at {at:moment} and did not run, nor {times:d} times before.",
    "timer_missed": (
        "The timer {timer} missed {times:d} times before its run of {at:moment}: the host was off, or the run before "
        "took too long."
    ),
    "timer_failed": "The timer {timer} of {at:moment}: {error}",
    "root_refused": (
        "The change to root fails: {error} Set ansible_become_password for this host, and let that user use sudo."
    ),
    "login_refused": ("The host refuses the login: {error} Set ansible_user and its key or password for this host."),
    "host_key": (
        "The control node does not know the key of the host: {error} If the server was set up anew, bring its new key "
        "into known_hosts."
    ),
    "nothing_runs": (
        "Nothing can be run on the host: {error} Its disk may be full or read-only, or the home directory of "
        "ansible_user not writable."
    ),
    "no_python": (
        "The host lacks what a module needs: {error} Install python3 and sudo there, and run crm.continuity.prepare."
    ),
    "unreachable": ("The host cannot be reached: {error} Check that it runs, its address and port, and the network."),
    "broken": "The host gave no answer: {error} Run the same for it alone with -vvv (--limit).",
}


class _Formatter(string.Formatter):
    def __init__(self, units: Units) -> None:
        self._units = units

    def format_field(self, value: t.Any, format_spec: str) -> t.Any:
        if format_spec == "moment":
            return told(value)
        if format_spec == "span":
            return span(value, self._units)
        return super().format_field(value, format_spec)


def say(text: str, facts: Mapping[str, t.Any], units: Units = UNITS) -> str:
    """Return a text with its facts filled in: beside those of Python, as ``{at:moment}`` and as ``{age:span}``.

    Raises ArithmeticError, AttributeError, KeyError, TypeError or ValueError for facts that are none.
    """
    return _Formatter(units).vformat(text, (), facts)


def told(moment: str | None) -> str:
    """Return a moment as it is said to people: to the minute, in UTC."""
    return f"{instant(moment):%Y-%m-%d %H:%M} UTC" if moment else "an unknown time"


def instant(moment: str) -> datetime.datetime:
    """Return the moment that an RFC 3339 time names; Python 3.10 does not know the Z."""
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(datetime.timezone.utc)


def since(moment: str, now: datetime.datetime) -> float:
    """Return the seconds that have gone by."""
    return (now - instant(moment)).total_seconds()


def span(seconds: float, units: Units = UNITS) -> str:
    """Return a duration as it is said to people."""
    if seconds < 180:
        return f"{seconds:.0f} {units[0]}"
    if seconds < 7200:
        return f"{seconds / 60:.0f} {units[1]}"
    return f"{seconds / 3600:.0f} {units[2]}" if seconds < 172800 else f"{seconds / 86400:.0f} {units[3]}"
