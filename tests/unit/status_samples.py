# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What backup_status answers, one function for each way in which a host may stand.

They go through the real rules, so a code or a message that changes there changes here.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.crm.continuity.plugins.module_utils._status import Attempt, Latest, Past, StackStatus
from ansible_collections.crm.continuity.plugins.module_utils._status_rules import (
    NORMAL,
    Problem,
    of_backups,
    worst,
)
from ansible_collections.crm.continuity.plugins.module_utils._version import VERSION

NOW = datetime.datetime(2026, 11, 22, 7, 0, tzinfo=datetime.timezone.utc)
DAYS = 12


def moment(hours_ago: float) -> str:
    """Return the RFC 3339 time of so many hours before NOW."""
    return (NOW - datetime.timedelta(hours=hours_ago)).isoformat(timespec="seconds")


def stamp(unix: float) -> str:
    """Return the RFC 3339 time of a Unix time."""
    return datetime.datetime.fromtimestamp(unix, datetime.timezone.utc).isoformat(timespec="seconds")


def backup_id(hours_ago: float) -> str:
    """Return the ID of a backup that was begun so many hours before NOW."""
    return f"{NOW - datetime.timedelta(hours=hours_ago):%Y%m%dT%H%M%SZ}"


def past(hours_ago: float, **more: t.Any) -> Past:
    """Return a backup as one of the history."""
    facts = {
        "id": backup_id(hours_ago + 0.01),
        "cut_at": moment(hours_ago),
        "size": 1_234_567_890,
        "seconds": 43.2,
        "freeze_seconds": 0.312,
        "files": 16_000,
        "rows": 250_000,
        "word": "verified",
    }
    return Past(**{**facts, **more})


def latest(hours_ago: float = 5, **more: t.Any) -> Latest:
    """Return a backup as the newest one."""
    facts = {
        **vars(past(hours_ago)),
        "finished_at": moment(hours_ago - 0.01),
        "artifacts": 7,
        "services": ({"service": "chatwoot", "mode": "pause", "seconds": 0.312},),
        "anomalies": (),
        "accepted": None,
        "remarks": 1,
        "encryption": "age",
        "signed": True,
        "held": None,
        "damage": None,
        "verified_at": moment(hours_ago - 0.5),
        "drilled_at": None,
        "uploaded_at": None,
    }
    return Latest(**{**facts, **more})


def stack(name: str = "crm", **more: t.Any) -> StackStatus:
    """Return a stack that was backed up every night, the last time five hours ago."""
    newest = more.get("latest") or latest()
    facts = {
        "stack": name,
        "profiles": ("chatwoot", "evolution"),
        "restorable_to": newest.cut_at,
        "verified_to": newest.cut_at,
        "latest": newest,
        "attempt": Attempt(moment(4.98), "ok", None, newest.id, 43.2),
        "last_success": moment(4.98),
        "last_verified": newest.verified_at,
        "last_drilled": moment(6 * 24),
        "last_uploaded": None,
        "previous_result": "ok",
        "first_at": moment(5 + 24 * (DAYS - 1)),
        "backups": DAYS,
        "bytes": DAYS * 1_234_567_890,
        "held": 0,
        "history": (
            *(past(5 + 24 * day, size=1_234_567_890 - day * 1_000_000) for day in range(DAYS - 1, 0, -1)),
            Past(**{name: getattr(newest, name) for name in vars(past(0))}),
        ),
        "failures": (),
    }
    return StackStatus(**{**facts, **more})


def aged(hours: float) -> StackStatus:
    return stack(latest=latest(hours))


def never_verified(hours: float) -> StackStatus:
    return stack(last_verified=None, first_at=moment(hours), latest=latest(word="unverified", verified_at=None))


def small(**more: t.Any) -> StackStatus:
    return stack(latest=latest(size=100, **more))


def odd(**more: t.Any) -> StackStatus:
    return stack(latest=latest(word="anomalous", anomalies=("rows: 0.",), **more))


def tried(result: str) -> StackStatus:
    return stack(attempt=Attempt(moment(1), result, "The disk is full."))


def old_damage() -> StackStatus:
    return stack(history=(past(29, word="damaged"), past(5)), damaged=(past(29).id,))


HURT = {"word": "damaged", "damage": "manifest.json is gone"}

# What breaks each rule, and what only just does not: a stack, and the codes of its problems.
STACKS: dict[str, tuple[StackStatus, list[str]]] = {
    "older than a day and two hours": (aged(27), ["stale"]),
    "as old as a late night makes it": (aged(25.9), []),
    "nothing is whole": (stack(restorable_to=None, latest=latest(**HURT)), ["stale", "damaged"]),
    "the last try failed": (tried("failed"), ["failed"]),
    "the last try was refused": (tried("refused"), ["failed"]),
    "an anomalous try is one that succeeded": (tried("anomalous"), []),
    "no backup": (StackStatus("crm"), ["never"]),
    "no backup, and a failure": (StackStatus("crm", attempt=Attempt(moment(1), "failed")), ["failed", "never"]),
    "100 bytes": (small(), ["too_small"]),
    "100 bytes, accepted": (small(accepted="a new stack"), []),
    "just large enough": (stack(latest=latest(size=1 << 20)), []),
    "out of the ordinary": (odd(), ["anomalous"]),
    "out of the ordinary, accepted": (odd(accepted="a new season"), []),
    "the newest is damaged": (stack(latest=latest(**HURT)), ["damaged"]),
    "an older one is damaged": (old_damage(), ["damaged"]),
    "never verified in nine days": (never_verified(9 * 24), ["unverified"]),
    "taken for a week, not verified yet": (never_verified(7 * 24), []),
    "verified nine days ago": (stack(last_verified=moment(9 * 24)), ["unverified"]),
    "verified a week ago": (stack(last_verified=moment(7 * 24)), []),
    "drilled a month ago": (stack(last_drilled=moment(31 * 24)), ["undrilled"]),
    "drilled this month": (stack(last_drilled=moment(29 * 24)), []),
    "never drilled, and nobody asked for it": (stack(last_drilled=None, first_at=moment(99 * 24)), []),
    "uploaded the day before": (stack(last_uploaded=moment(27)), ["not_uploaded"]),
    "uploaded tonight": (stack(last_uploaded=moment(4)), []),
    "nothing to upload": (stack(last_uploaded=moment(52), last_success=moment(53), latest=latest(53)), ["stale"]),
    "never uploaded, and nobody asked for it": (stack(last_uploaded=None, first_at=moment(99)), []),
    "frozen for long": (stack(latest=latest(freeze_seconds=5.1)), ["frozen_long"]),
    "frozen as long as it may": (stack(latest=latest(freeze_seconds=5.0)), []),
    "from the future": (aged(-1), ["clock"]),
    "half a minute in the future": (aged(-0.01), []),
    "all is well": (stack(), []),
}


def status(
    *stacks: StackStatus, host: str = "crm-a", problems: t.Sequence[Problem] = (), **more: t.Any
) -> dict[str, t.Any]:
    """Return the answer of a host that has these stacks, and these problems beside those of its stacks."""
    found = [*problems]
    for one in stacks:
        if not any(problem.stack == one.stack for problem in problems):
            found += of_backups(one, NORMAL, NOW)
    listed = [problem.described() for problem in found]
    return {
        "host": host,
        "at": NOW.isoformat(timespec="seconds"),
        "clock_skew": 0,
        "collection": VERSION,
        "installed": None,
        "engine": {"ok": True, "version": "26.1.5", "message": None},
        "root": "/var/backups/crm",
        "disk": {
            "path": "/var/backups/crm",
            "total": 100_000_000_000,
            "used": 41_000_000_000,
            "free": 59_000_000_000,
            "percent": 41.0,
        },
        "schedule": None,
        "standing": worst(listed),
        "problems": listed,
        "stacks": [
            one.described(worst(problem for problem in listed if problem["stack"] == one.stack)) for one in stacks
        ],
        **more,
    }


def silent(code: str, message: str, host: str = "crm-a") -> dict[str, t.Any]:
    """Return what the control node says of a host that did not answer."""
    nothing = {"clock_skew": None, "collection": None, "engine": None, "root": None, "disk": None}
    return status(host=host, problems=[Problem(code, message)], **nothing)


def good(host: str = "crm-a") -> dict[str, t.Any]:
    return status(stack(), host=host)


def two_stacks(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host with a good stack and a stale one."""
    return status(stack("crm"), stale_stack("ticketz"), host=host)


def stale_stack(name: str = "crm") -> StackStatus:
    old = latest(53)
    return stack(name, latest=old, attempt=Attempt(moment(52.9), "ok", None, old.id), last_success=moment(52.9))


def stale(host: str = "crm-a") -> dict[str, t.Any]:
    return status(stale_stack(), host=host)


def failed(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host whose last try failed, after a good backup 29 hours ago."""
    words = 'pg_dump of database chatwoot ended with 1: FATAL: password authentication failed for user "chatwoot"'
    before = latest(29)
    return status(
        stack(
            latest=before,
            attempt=Attempt(moment(5), "failed", words, None, 12.0),
            last_success=moment(28.9),
            failures=({"at": moment(5), "action": "backup", "message": words},),
        ),
        host=host,
    )


def recovered(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host whose last try was good, after one that failed."""
    failure = {"at": moment(29), "action": "backup", "message": "No Docker daemon answers"}
    return status(stack(previous_result="failed", failures=(failure,)), host=host)


def anomalous(host: str = "crm-a") -> dict[str, t.Any]:
    words = "rows of table public.messages of database chatwoot: 12, and it was 84210 in the backups before."
    newest = latest(anomalies=(words,), word="anomalous")
    return status(
        stack(latest=newest, attempt=Attempt(moment(4.98), "anomalous", None, newest.id, 43.2)),
        host=host,
    )


def too_small(host: str = "crm-a") -> dict[str, t.Any]:
    return status(stack(latest=latest(size=20_480, rows=0, files=3)), host=host)


def damaged(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host whose newest backup is damaged; the one before can be restored."""
    words = "verify at 2026-11-22T03:00:00.000+00:00: volumes/crm_storage.tar.zst: its checksum is another one"
    newest = latest(word="damaged", damage=words, verified_at=None)
    return status(
        stack(
            latest=newest,
            restorable_to=moment(29),
            verified_to=moment(29),
            last_verified=moment(28),
            failures=({"at": moment(4), "action": "verify", "message": words},),
        ),
        host=host,
    )


def unreadable(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host whose newest backup has no manifest that can be read: its numbers are unknown."""
    unknown = dict.fromkeys(("size", "seconds", "freeze_seconds", "files", "rows", "artifacts", "encryption"))
    newest = latest(
        **unknown,
        finished_at=None,
        services=(),
        remarks=0,
        signed=False,
        word="damaged",
        damage="manifest.json does not exist",
        verified_at=None,
    )
    return status(
        stack(latest=newest, profiles=(), restorable_to=moment(29), verified_to=moment(29), last_verified=moment(28)),
        host=host,
    )


def unverified(host: str = "crm-a") -> dict[str, t.Any]:
    newest = latest(word="unverified", verified_at=None)
    return status(stack(latest=newest, verified_to=moment(9 * 24), last_verified=moment(9 * 24 - 1)), host=host)


def undrilled(host: str = "crm-a") -> dict[str, t.Any]:
    return status(stack(last_drilled=moment(40 * 24)), host=host)


def frozen_long(host: str = "crm-a") -> dict[str, t.Any]:
    return status(stack(latest=latest(freeze_seconds=41.2)), host=host)


def never(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host with a stack that has to be backed up, and that has no backup."""
    return status(StackStatus("crm", profiles=("chatwoot",)), host=host)


def uncovered(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host that also runs a stack that nobody ever backed up."""
    words = "Stack ticketz (ticketz) runs here and was never backed up. Run crm.continuity.backup."
    new = StackStatus("ticketz", profiles=("ticketz",))
    return status(stack(), new, host=host, problems=[Problem("uncovered", words, "ticketz")])


def disk_full(host: str = "crm-a") -> dict[str, t.Any]:
    disk = {
        "path": "/var/backups/crm",
        "total": 100_000_000_000,
        "used": 93_000_000_000,
        "free": 7_000_000_000,
        "percent": 93.0,
    }
    words = "/var/backups/crm is 93.0 % full (7000000000 bytes are free), and 90 % is critical. Prune backups."
    return status(stack(), host=host, disk=disk, problems=[Problem("disk_critical", words)])


def clock(host: str = "crm-a") -> dict[str, t.Any]:
    words = "The clock of the host is 2 hours ahead of the control node's. Set it (timedatectl)."
    return status(stack(), host=host, clock_skew=7201, problems=[Problem("clock", words)])


def engine_down(host: str = "crm-a") -> dict[str, t.Any]:
    words = "No Docker daemon answers at unix:///var/run/docker.sock: No such file or directory. Start it."
    engine = {"ok": False, "version": None, "message": words}
    return status(stack(), host=host, engine=engine, problems=[Problem("engine", words)])


def log_broken(host: str = "crm-a") -> dict[str, t.Any]:
    words = "/var/backups/crm/audit.jsonl is not as it was written: Line 7 is not an event. Run crm.continuity.audit."
    return status(stack(), host=host, problems=[Problem("log", words)])


def timer(name: str = "backup", **more: t.Any) -> dict[str, t.Any]:
    """Return a timer that does what it should."""
    facts = {
        "name": name,
        "calendar": "*-*-* 02:00:00",
        "manager": "systemd",
        "active": True,
        "next": moment(-19),
        "last": moment(5),
        "ended": moment(4.9),
        "last_success": moment(5),
        "result": "ok",
        "message": None,
        "missed": 0,
        "late": 12,
    }
    return {**facts, **more}


def scheduled(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host with timers that work."""
    weekly = timer("weekly", calendar="Sun *-*-* 01:00:00", next=moment(-6 * 24), last=moment(6))
    return status(stack(), host=host, installed=VERSION, schedule={"timers": [timer(), weekly], "problems": []})


def timer_dead(host: str = "crm-a") -> dict[str, t.Any]:
    words = "Nothing will start the timer backup: crm-continuity-backup.timer is not active."
    problem = Problem("schedule_dead", words)
    return status(
        stale_stack(),
        host=host,
        installed=VERSION,
        schedule={
            "timers": [timer(active=False, next=None, last=moment(53), missed=2)],
            "problems": [problem.described()],
        },
        problems=[problem],
    )


def timer_missed(host: str = "crm-a") -> dict[str, t.Any]:
    words = "The timer backup missed 2 times before its run of 2026-11-22T02:00:00+00:00: the host was off."
    problem = Problem("schedule_missed", words)
    return status(
        stack(),
        host=host,
        installed=VERSION,
        schedule={"timers": [timer(missed=2)], "problems": [problem.described()]},
        problems=[problem],
    )


def old_version(host: str = "crm-a") -> dict[str, t.Any]:
    words = f"The timers of this host use version 0.0.9 of the collection, and the control node has {VERSION}."
    answer = scheduled(host)
    problem = Problem("versions", words).described()
    return {**answer, "installed": "0.0.9", "problems": [problem], "standing": worst([problem])}


def unreachable(host: str = "crm-a") -> dict[str, t.Any]:
    return silent(
        "unreachable",
        "The host cannot be reached: ssh: connect to host 192.0.2.7 port 22: No route to host. Check that it runs, its "
        "address and the network.",
        host,
    )


def password(host: str = "crm-a") -> dict[str, t.Any]:
    return silent("password", "The host refuses the password for sudo. Set ansible_become_password.", host)


def half_installed(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host that answers, and lacks what a backup needs."""
    words = "The host lacks python3-docker, zstd, so no backup can be taken. Run crm.continuity.prepare."
    engine = {"ok": False, "version": None, "message": "The Docker SDK for Python is not installed on this host."}
    return status(stack(), host=host, engine=engine, problems=[Problem("half_installed", words)])


def broken(host: str = "crm-a") -> dict[str, t.Any]:
    return silent("broken", "The host gave no answer that makes sense: MemoryError. Run it again with -vvv.", host)


def long_history(host: str = "crm-a") -> dict[str, t.Any]:
    """Return a host with as much as an answer holds, for three stacks."""
    many = tuple(past(5 + 24 * day) for day in range(29, -1, -1))
    words = "x" * 300
    failures = tuple({"at": moment(day), "action": "backup", "message": words} for day in range(5))
    return status(*(stack(f"stack-{number}", history=many, failures=failures) for number in range(3)), host=host)


EVERY: dict[str, t.Callable[[str], dict[str, t.Any]]] = {
    function.__name__: function
    for function in (
        good,
        two_stacks,
        stale,
        failed,
        recovered,
        anomalous,
        too_small,
        damaged,
        unreadable,
        unverified,
        undrilled,
        frozen_long,
        never,
        uncovered,
        disk_full,
        clock,
        engine_down,
        log_broken,
        scheduled,
        timer_dead,
        timer_missed,
        old_version,
        unreachable,
        password,
        half_installed,
        broken,
        long_history,
    )
}


def fleet(size: int) -> dict[str, dict[str, t.Any]]:
    """Return the answers of so many hosts by name: most are good, and every other standing turns up now and then."""
    others = [name for name in EVERY if name not in ("good", "long_history")]
    answers = {}
    for number in range(size):
        name = f"crm-{number:04d}"
        kind = others[number // 7 % len(others)] if number % 7 == 3 else "good"
        answers[name] = EVERY[kind](name)
    return answers


def with_stack(answer: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    """Return an answer with other values in its first stack."""
    first, *rest = answer["stacks"]
    return {**answer, "stacks": [{**first, **more}, *rest]}
