# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Receivers of notifications on this machine: they listen for real, and keep what they got."""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import json
import socket
import socketserver
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

HOST = "127.0.0.1"


class Posted(t.NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> t.Any:
        return json.loads(self.body)


class WebReceiver(http.server.ThreadingHTTPServer):
    """Takes what is posted, and answers with ``status``; after ``delay`` seconds, or takes 20 for it when it drips."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Poster)
        self.got: list[Posted] = []
        self.status = 200
        self.location: str | None = None
        self.delay = 0.0
        self.drips = False

    @property
    def address(self) -> str:
        return f"{HOST}:{self.server_port}"


class _Poster(http.server.BaseHTTPRequestHandler):
    server: WebReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.got.append(Posted(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        time.sleep(self.server.delay)
        if self.server.drips:
            self._drip()
            return
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_POST()

    def _drip(self) -> None:
        """Send one byte of a header now and then: no single read ever takes long."""
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            for _turn in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.2)

    def log_message(self, *_: t.Any) -> None:
        """Keep the output of the tests clean."""


class MailReceiver(socketserver.ThreadingTCPServer):
    """Takes mail over SMTP, with any password or none."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Mailbox)
        self.got: list[EmailMessage] = []

    @property
    def address(self) -> str:
        return f"{HOST}:{self.server_address[1]}"


class _Mailbox(socketserver.StreamRequestHandler):
    server: MailReceiver

    def handle(self) -> None:
        self._say("220 sink")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "EHLO":
                self._say("250-sink\r\n250 AUTH PLAIN")
            elif word == "AUTH":
                self._say("235 come in")
            elif word == "DATA":
                self._say("354 go on")
                self._take()
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 yes")

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.server.got.append(
            t.cast("EmailMessage", email.message_from_bytes(b"".join(lines), policy=email.policy.default))
        )

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextlib.contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Let a receiver listen as long as the context lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Yield the address of something that takes connections and never says a word."""
    with socket.create_server((HOST, 0)) as listener:
        yield f"{HOST}:{listener.getsockname()[1]}"


def nobody() -> str:
    """Return an address that refuses connections."""
    with socket.create_server((HOST, 0)) as listener:
        return f"{HOST}:{listener.getsockname()[1]}"
