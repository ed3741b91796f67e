# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a status of whatever came of asking a host: its own answer, or why there is none.

So a host that is unreachable, refuses the password or is broken stands in every list beside the others.
Private to this collection.
"""

from __future__ import annotations

import re
import time
import typing as t
from datetime import datetime, timezone

from ..module_utils._status import shortened
from ..module_utils._status_rules import problem, worst

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..module_utils._status_rules import Problem

# What Ansible, ssh and sudo say, the code that it comes to, and the text that tells it. The first counts.
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), code, says)
    for pattern, code, says in (
        (
            r"(incorrect|missing|invalid|wrong) (\w+ )?password|sorry, try again|a password is required"
            r"|privilege escalation prompt|not in the sudoers file|may not run sudo|not allowed to execute"
            r"|su: authentication failure",
            "password",
            "root_refused",
        ),
        (
            r"permission denied \(|authentication failed|failed to authenticate|too many authentication failures"
            r"|invalid/incorrect (username|password)",
            "password",
            "login_refused",
        ),
        (
            r"host key verification failed|remote host identification has changed|no .*host key is known",
            "unreachable",
            "host_key",
        ),
        (
            r"failed to create temporary directory|no space left on device|read-only file system",
            "broken",
            "nothing_runs",
        ),
        (
            r"(python[\d.]*|/env|sudo|su|doas): (command )?(not found|no such file)|no python interpreters? found"
            r"|interpreter .{0,60}was not found|requires a minimum of python",
            "half_installed",
            "no_python",
        ),
    )
)
# What ssh adds to everything.
_NOISE = re.compile(
    r"^(shared )?connection to .* closed|^warning: permanently added"
    r"|^task failed: (failed to connect to the host via ssh: )?|^failed to connect to the host via ssh: ",
    re.IGNORECASE,
)


def of_result(result: Mapping[str, t.Any], host: str) -> dict[str, t.Any]:
    """Return the status of a host from the result of its backup_status, whatever that is."""
    status = result.get("status")
    if isinstance(status, dict) and not result.get("failed") and not result.get("unreachable"):
        return dict(status)
    listed = [classified(result).described()]
    return {
        "host": host,
        "at": datetime.fromtimestamp(time.time(), timezone.utc).isoformat(timespec="seconds"),
        **dict.fromkeys(("clock_skew", "collection", "installed", "engine", "root", "disk", "schedule")),
        "standing": worst(listed),
        "problems": listed,
        "stacks": [],
    }


def classified(result: Mapping[str, t.Any]) -> Problem:
    """Return what keeps a host from answering, with the error itself, short and without secrets."""
    whole, words = _said(result)
    for pattern, code, says in _RULES:
        if pattern.search(whole):
            return problem(code, says, {"error": words})
    code = "unreachable" if result.get("unreachable") else "broken"
    return problem(code, code, {"error": words})


def _said(result: Mapping[str, t.Any]) -> tuple[str, str]:
    """Return all that was said, and the words that say most: those of a program before those of Ansible."""
    message = _last_line(result.get("msg")) or "it dropped out of the play before it was asked"
    programs = (_last_line(result.get(name)) for name in ("module_stderr", "module_stdout", "stderr"))
    said = next((line for line in programs if line), None)
    words = shortened(f"{said} ({message.rstrip('.')})" if said and said != message else message)
    parts = (result.get(name) for name in ("msg", "module_stderr", "module_stdout", "stderr"))
    return "\n".join(str(part) for part in parts if part), words if words.endswith("…") else f"{words}."


def _last_line(words: object) -> str:
    """Return the last line that says something: an error of ssh follows its banner, that of Python its traceback."""
    lines = [_NOISE.sub("", line.strip()).strip(" .\r") for line in str(words or "").splitlines()]
    return next((line for line in reversed(lines) if line), "")
