# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send a letter to receivers, all at once, none longer than allowed; and say which did not get it, without addresses.

Addresses are secrets: they go to the sending processes through a pipe, and only their scheme is ever named.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ..module_utils._errors import ContinuityError
from ._notify_sender import NO_CONNECTION

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._digest_text import Letter

SENDER = os.path.join(os.path.dirname(__file__), "_notify_sender.py")
AT_ONCE = 8
PAUSE = 1
MISSING = (
    "could not be tried: the Python library apprise is missing on the control node. "
    "Install it for the Python that runs Ansible: {} -m pip install apprise"
)


@dataclass(frozen=True)
class Undelivered:
    """A receiver that did not get the message, and why."""

    receiver: str
    reason: str


def split_urls(given: object) -> list[str]:
    """Return the addresses of a list or of a text with one address a word; raise ContinuityError for anything else."""
    if given is None:
        return []
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        # What was given is not repeated here: it is a secret, even in the wrong shape.
        raise ContinuityError("The addresses of receivers are not a list of strings. Put each into quotes.")
    # A comma separates several addressees within one address.
    return list(dict.fromkeys(word for entry in entries for word in entry.split()))


def deliver(letter: Letter, urls: Sequence[str], *, timeout: int, attach: str | None) -> list[Undelivered]:
    """Send ``letter`` to every address; return who did not get it."""
    names = [f"{_scheme(url)} (address {number})" for number, url in enumerate(urls, 1)]
    if importlib.util.find_spec("apprise") is None:
        reason = MISSING.format(sys.executable)
        return [Undelivered(name, reason) for name in names]
    message = {
        "kind": "apprise",
        "subject": letter.subject,
        "bodies": {form: list(bodies) for form, bodies in letter.bodies.items()},
        "severity": letter.severity,
        "attach": attach,
    }
    jobs = [{**message, "url": url} for url in urls]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        reasons = list(pool.map(lambda job: _send(job, timeout), jobs))
    return [Undelivered(name, reason) for name, reason in zip(names, reasons, strict=True) if reason]


def ping(url: str, signal: str, text: str, *, timeout: int) -> Undelivered | None:
    """Tell a monitor that the run has begun (``start``), went well (empty) or did not (``fail``)."""
    parts = _parts(url)
    if parts is None:
        return Undelivered("ping", "is not the address of a monitor: it has to be https://… without user and password")
    path = f"{parts.path.rstrip('/')}/{signal}" if signal else parts.path
    job = {
        "kind": "ping",
        "url": urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")),
        "text": text,
        "timeout": timeout,
    }
    reason = _send(job, timeout)
    if reason == NO_CONNECTION:
        # A monitor takes one lost packet for a dead fleet.
        time.sleep(PAUSE)
        reason = _send(job, timeout)
    return Undelivered("ping", reason) if reason else None


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def _scheme(url: str) -> str:
    """Return what kind of receiver it is; what stands behind may be a token already."""
    found = re.match(r"[a-zA-Z][a-zA-Z0-9]{0,20}(?=://)", url)
    return found[0].lower() if found else "unknown"


def _send(job: Mapping[str, t.Any], timeout: int) -> str | None:
    """Run the sender; return why the message did not get through, or None."""
    try:
        done = subprocess.run(
            [sys.executable, SENDER],
            input=json.dumps(job).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not answer within {timeout} s"
    except OSError as exc:
        return f"could not be tried: no process can be started ({exc.strerror})"
    try:
        reason = json.loads(done.stdout)["reason"]
    except (ValueError, KeyError, TypeError):
        return f"could not be tried: the sender ended with exit code {done.returncode}"
    return None if reason is None else str(reason)
