# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small HTTP server for the stand-in applications: routes, JSON, uploads and downloads."""

from __future__ import annotations

import datetime
import decimal
import http.server
import json
import re
import shutil
import signal
import sys
import threading
import time
import traceback
import typing as t
import urllib.parse
import uuid
from dataclasses import dataclass, field

from standin_services import FAILURES, log

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from email.message import Message
    from pathlib import Path


@dataclass(frozen=True)
class Upload:
    """One file of a multipart form."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Form:
    """The fields and the files of a request's body, whatever its encoding was."""

    fields: dict[str, t.Any] = field(default_factory=dict)
    uploads: list[Upload] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """One HTTP request; ``path`` is still percent-encoded, ``params`` are not."""

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes
    params: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def form(self) -> Form:
        """Read the body as JSON, as a URL-encoded form or as a multipart form."""
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("application/json"):
            try:
                fields = json.loads(self.body or b"{}")
            except ValueError as error:
                raise HttpError(400, {"error": f"The body is not JSON: {error}"}) from None
            return Form(fields=fields if isinstance(fields, dict) else {})
        if kind.startswith("multipart/form-data"):
            return _parse_multipart(kind, self.body)
        return Form(fields=dict(urllib.parse.parse_qsl(self.body.decode("utf-8", "replace"))))


@dataclass(frozen=True)
class Reply:
    """What goes back: bytes from memory, or a file that is streamed."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: Path | None = None


class HttpError(Exception):
    """Ends a request with a status and a JSON body."""

    def __init__(self, status: int, payload: t.Any) -> None:
        super().__init__(status, payload)
        self.status = status
        self.payload = payload


@dataclass(frozen=True)
class Route:
    """A method and a path pattern; named groups of the pattern become ``Request.params``."""

    method: str
    pattern: str
    handler: Callable[[Request], Reply]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        found = re.fullmatch(self.pattern, path) if method == self.method else None
        if found is None:
            return None
        return {name: urllib.parse.unquote(value) for name, value in found.groupdict().items() if value is not None}


class Application(t.Protocol):
    """What a stand-in gives to ``serve``."""

    @property
    def routes(self) -> Sequence[Route]:
        """The paths that it answers, the first that matches wins."""

    def not_found(self, request: Request) -> Reply:
        """Answer a path that no route knows."""

    def failed(self, request: Request, error: Exception) -> Reply:
        """Answer a request whose database, Redis or files failed."""

    def served(self, request: Request, reply: Reply, seconds: float) -> None:
        """Log a request that was answered."""


def _jsonable(value: t.Any) -> t.Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def json_reply(payload: t.Any, status: int = 200) -> Reply:
    """Turn a value into a JSON reply."""
    body = json.dumps(payload, ensure_ascii=False, default=_jsonable).encode()
    return Reply(status, body, {"Content-Type": "application/json; charset=utf-8"})


def _parse_multipart(kind: str, body: bytes) -> Form:
    found = re.search(r'boundary="?([^";]+)"?', kind)
    if found is None:
        raise HttpError(400, {"error": "The multipart body has no boundary."})
    form = Form()
    for part in (b"\r\n" + body).split(b"\r\n--" + found[1].encode())[1:]:
        head, separator, content = part.partition(b"\r\n\r\n")
        if not separator:
            continue
        header = head.decode("utf-8", "replace")
        name = re.search(r'\bname="([^"]*)"', header)
        filename = re.search(r'\bfilename="([^"]*)"', header)
        if name is None:
            continue
        if filename is None:
            form.fields[name[1]] = content.decode("utf-8", "replace")
            continue
        content_type = re.search(r"(?im)^content-type:[ \t]*(\S+)", header)
        form.uploads.append(
            Upload(filename[1], content_type[1] if content_type else "application/octet-stream", content)
        )
    return form


def _handler_class(application: Application) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Stay silent: the application writes its own kind of log line."""

        def answer(self) -> None:
            started = time.monotonic()
            request = self._read()
            try:
                reply = self._route(request)
            except HttpError as error:
                reply = json_reply(error.payload, error.status)
            except FAILURES as error:
                log("".join(traceback.format_exception_only(type(error), error)).strip())
                reply = application.failed(request, error)
            application.served(request, reply, time.monotonic() - started)
            self._write(reply)

        def _read(self) -> Request:
            address = urllib.parse.urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            method = "GET" if self.command == "HEAD" else self.command
            return Request(method, address.path, dict(urllib.parse.parse_qsl(address.query)), self.headers, body)

        def _route(self, request: Request) -> Reply:
            for route in application.routes:
                params = route.match(request.method, request.path)
                if params is not None:
                    request.params.update(params)
                    return route.handler(request)
            return application.not_found(request)

        def _write(self, reply: Reply) -> None:
            size = reply.file.stat().st_size if reply.file else len(reply.body)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if self.command == "HEAD":
                return
            if reply.file is None:
                self.wfile.write(reply.body)
                return
            with reply.file.open("rb") as source:
                shutil.copyfileobj(source, self.wfile)

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    return Handler


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Log what went wrong on standard output, like everything else; a client that left is not news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            log(traceback.format_exc().strip())


def serve(application: Application, host: str, port: int) -> None:
    """Answer requests until SIGTERM or SIGINT arrives."""
    server = _Server((host, port), _handler_class(application))

    def stop(_signal: int, _frame: t.Any) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
