# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Use the applications of a stack without rest: send messages, upload attachments, delete them.

``python3 clients.py`` runs until it is asked to stop and then prints what it did as JSON. An application that stands
still or starts again is waited for. Runs on the server; standard library only.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import secrets
import signal
import threading
import time
import typing as t
import urllib.parse
import urllib.request

CHATWOOT = "http://127.0.0.1:3000/api/v1/accounts/1"
EVOLUTION = "http://127.0.0.1:8080"
TOKENS = {"api_access_token": "not-a-secret-api-token", "apikey": "not-a-secret-evolution-key"}
KEPT = 40
PATIENCE = 120
FAILURES = (OSError, http.client.HTTPException, ValueError)


class Clients:
    """Counts what was done and what was refused, by what it was."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self.stop = threading.Event()
        self.done: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self._lock = threading.Lock()

    def send(self, instance: str) -> None:
        """Send messages through one instance, one after the other."""
        for number in itertools.count():
            if self.stop.is_set():
                return
            text = json.dumps({"number": "5511900000001", "text": f"message {number}"}).encode()
            self._do(
                "messages", f"{EVOLUTION}/message/sendText/{urllib.parse.quote(instance)}", text, "application/json"
            )

    def upload(self, conversation: int) -> None:
        """Upload attachments to one conversation and delete them when there are many."""
        place = f"{CHATWOOT}/conversations/{conversation}/messages"
        kept: list[int] = []
        while not self.stop.is_set():
            body, kind = _form(os.urandom(secrets.randbelow(80_000)))
            message = self._do("uploads", place, body, kind)
            kept += [message["id"]] if message else []
            if len(kept) > KEPT:
                self._do("deletions", f"{place}/{kept.pop(0)}", None, "text/plain", "DELETE")

    def _do(self, what: str, url: str, body: bytes | None, kind: str, method: str = "POST") -> t.Any:
        try:
            answer = ask(url, body, kind, method)
        except FAILURES:
            with self._lock:
                self.failed[what] = self.failed.get(what, 0) + 1
            self.stop.wait(0.2)
            return None
        with self._lock:
            self.done[what] = self.done.get(what, 0) + 1
        self.stop.wait(self._pause)
        return answer


def ask(url: str, body: bytes | None = None, kind: str = "application/json", method: str = "GET") -> t.Any:
    """Return the answer of an application, which is JSON or nothing."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": kind, **TOKENS}, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
        said = reply.read()
    return json.loads(said) if said else None


def state(instance: str) -> str:
    """Return what the application says of one WhatsApp session."""
    told = ask(f"{EVOLUTION}/instance/connectionState/{urllib.parse.quote(instance)}")
    return str(told["instance"].get("state"))


def _form(content: bytes) -> tuple[bytes, str]:
    border = secrets.token_hex(16)
    head = f'--{border}\r\nContent-Disposition: form-data; name="attachments[]"; filename="photo.jpg"\r\n'
    head += "Content-Type: image/jpeg\r\n\r\n"
    return head.encode() + content + f"\r\n--{border}--\r\n".encode(), f"multipart/form-data; boundary={border}"


def main() -> None:
    """Use the applications until SIGTERM or SIGINT, or for some seconds."""
    parser = argparse.ArgumentParser(description="Use the applications of the CRM stack without rest.")
    parser.add_argument("--seconds", type=float, help="end after so long")
    parser.add_argument("--pause", type=float, default=0, help="seconds between two requests of one client")
    parser.add_argument("--states", action="store_true", help="only say whether the WhatsApp sessions can be used")
    options = parser.parse_args()
    instances = [entry["name"] for entry in ask(f"{EVOLUTION}/instance/fetchInstances")]
    if options.states:
        print(json.dumps({name: state(name) for name in instances}))
        return
    clients = Clients(options.pause)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: clients.stop.set())
    conversation = ask(f"{CHATWOOT}/conversations")["data"]["payload"][0]["id"]
    threads = [threading.Thread(target=clients.send, args=(name,)) for name in instances]
    threads.append(threading.Thread(target=clients.upload, args=(conversation,)))
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + options.seconds if options.seconds else float("inf")
    while not clients.stop.is_set() and time.monotonic() < deadline:
        clients.stop.wait(0.2)
    clients.stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"done": clients.done, "failed": clients.failed}))


if __name__ == "__main__":
    main()
