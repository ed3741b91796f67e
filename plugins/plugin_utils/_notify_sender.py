# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that sends one message to one receiver: a job as JSON on stdin, the outcome as JSON on stdout.

It runs as a process of its own, so that it can be stopped when a receiver hangs, and so that nothing that a library
logs, prints or raises gets any further: that could hold the address, which is a secret. What it answers in the end is
put together from words that stand in this file and from numbers.

The only import of apprise; otherwise standard library. Private to this collection.
"""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
import sys
import typing as t
import urllib.error
import urllib.request

if t.TYPE_CHECKING:
    import http.client

AGENT = "crm.continuity"
NO_CONNECTION = "could not be reached"
REFUSED = "refused the message"
UNKNOWN_URL = "is not an address that Apprise understands: see its documentation for this kind of receiver"
REDIRECTED = "answered with a redirection, which is not followed: give the address that it leads to"
TOO_OLD = "could not be tried: the Python library apprise is too old, install version 2.2 or newer"
UNVERIFIED = "has a certificate that cannot be verified"
TYPES = {"critical": "failure", "warning": "warning", "recovered": "success"}


class Reasons(logging.Handler):
    """Keeps which kinds of things a library complains of, and not its words."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note the kind of one complaint."""
        text = record.getMessage()
        if status := re.search(r"\berror=([1-5][0-9]{2})\b", text):
            self.found.append(f"answered with HTTP status {status[1]}")
        elif re.search(r"(?i)connection error|timed? ?out|connect", text):
            self.found.append(NO_CONNECTION)


class Unredirected(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: what is sent is meant for this receiver only."""

    def redirect_request(self, *_: object) -> None:
        """Let the redirection be an error."""
        return


def main() -> int:
    """Read a job, do it, and print its outcome."""
    answer = os.dup(1)
    # Whatever a library prints is not for anybody; stderr leads nowhere from the start.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    job = json.loads(sys.stdin.buffer.read())
    try:
        reason = ping(job) if job["kind"] == "ping" else notify(job)
    except ImportError:
        reason = "could not be tried: the Python library apprise cannot be imported"
    except Exception as exc:
        # An exception of a library may hold the address. Its type does not.
        reason = f"could not be tried: {type(exc).__name__}"
    with os.fdopen(answer, "w", encoding="utf-8") as stream:
        json.dump({"reason": reason}, stream)
    return 0


def notify(job: dict[str, t.Any]) -> str | None:
    """Send by Apprise; return why that failed, or None."""
    import apprise

    reasons = Reasons()
    logger = logging.getLogger("apprise")
    logger.addHandler(reasons)
    logger.propagate = False
    if not hasattr(apprise.AppriseAsset, "http_redirects"):
        return TOO_OLD
    notifier = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False, app_id=AGENT))
    if not notifier.add(job["url"]) or len(notifier) != 1:
        return UNKNOWN_URL
    receiver = next(iter(notifier))
    form = _format(receiver)
    attach = job["attach"] if getattr(receiver, "attachment_support", False) else None
    sent = notifier.notify(
        title=job["subject"],
        body=_fitting(job["bodies"][form], receiver.body_maxlen - len(job["subject"]) - 10),
        notify_type=TYPES[job["severity"]],
        body_format=form,
        attach=attach,
    )
    return None if sent else (reasons.found[-1] if reasons.found else REFUSED)


def _format(receiver: t.Any) -> str:
    """Return the format that a receiver likes best; some name one, some several."""
    wanted = receiver.notify_format
    first = wanted[0] if isinstance(wanted, (tuple, list)) else wanted
    return str(getattr(first, "value", first))


def _fitting(bodies: list[str], limit: int) -> str:
    return next((body for body in bodies if len(body) <= limit), bodies[-1])


def ping(job: dict[str, t.Any]) -> str | None:
    """Post the text to an address of a monitor such as Healthchecks; return why that failed, or None."""
    request = urllib.request.Request(
        job["url"],
        data=job["text"].encode(),
        headers={"Content-Type": "text/plain; charset=utf-8", "User-Agent": AGENT},
        method="POST",
    )
    opener = urllib.request.build_opener(Unredirected)
    try:
        answer: http.client.HTTPResponse
        with opener.open(request, timeout=job["timeout"]) as answer:
            return None if 200 <= answer.status < 300 else f"answered with HTTP status {answer.status}"
    except urllib.error.HTTPError as exc:
        exc.close()
        return REDIRECTED if 300 <= exc.code < 400 else f"answered with HTTP status {exc.code}"
    except urllib.error.URLError as exc:
        return UNVERIFIED if isinstance(exc.reason, ssl.SSLCertVerificationError) else NO_CONNECTION
    except OSError:
        return NO_CONNECTION


if __name__ == "__main__":
    sys.exit(main())
