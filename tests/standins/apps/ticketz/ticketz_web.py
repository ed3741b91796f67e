# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP surface of the Ticketz stand-in."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import time
import typing as t
from pathlib import Path

import redis
import ticketz_tokens as tokens
from standin_http import HttpError, Reply, Request, Route, Upload, json_reply
from standin_services import Row, log

if t.TYPE_CHECKING:
    from standin_services import Database

SECRET = "TICKETZ_JWT_SECRET"
REFRESH_SECRET = "TICKETZ_JWT_REFRESH_SECRET"
NO_SECRET = {"error": "ERR_SESSION_SECRET_UNAVAILABLE"}
VERSION = {
    "name": "ticketz-backend",
    "commitHash": "0000000",
    "commitTimestamp": "2026-08-01T00:00:00Z",
    "branchName": "main",
    "tagName": "stand-in",
    "buildTimestamp": "2026-08-01T00:00:00Z",
}


class Backend:
    """Routes and handlers of the backend container."""

    def __init__(self, database: Database, cache: redis.Redis, public: Path) -> None:
        self._database = database
        self._cache = cache
        self._public = public
        self.routes = (
            Route("GET", r"/", self._root),
            Route("POST", r"/auth/login", self._login),
            Route("GET", r"/whatsapp/?", self._list_whatsapps),
            Route("GET", r"/tickets/?", self._list_tickets),
            Route("GET", r"/messages/(?P<ticket>\d+)", self._list_messages),
            Route("POST", r"/messages/(?P<ticket>\d+)", self._create_message),
            Route("GET", r"/public/(?P<path>.+)", self._public_file),
        )

    def start_sessions(self) -> None:
        """Connect the WhatsApp sessions: a session needs its creds and its keys, both from the database."""
        for row in self._database.rows(
            "SELECT id, name, session, status FROM \"Whatsapps\" WHERE channel = 'whatsapp'"
        ):
            status = "CONNECTED" if self._session_is_whole(row) else "PENDING"
            log(f"Session: {row['name']} - Status: {status}")
            if status != row["status"]:
                with self._database.transaction() as cursor:
                    cursor.execute('UPDATE "Whatsapps" SET status = %s WHERE id = %s', (status, row["id"]))

    def _session_is_whole(self, row: Row) -> bool:
        """Whether the creds of a connection belong to the keys beside them."""
        if not row["session"]:
            log(f"Session: {row['name']} - no creds, a new QR code is needed")
            return False
        creds = json.loads(row["session"])["creds"]
        keys = self._database.row(
            "SELECT count(*) AS count, min(value) FILTER (WHERE type = 'standin-generation') AS marker"
            ' FROM "BaileysKeys" WHERE "whatsappId" = %s',
            (row["id"],),
        )
        marker = json.loads(keys["marker"]) if keys and keys["marker"] else {}
        if any(marker.get(part) != creds.get(part) for part in ("registrationId", "generation")):
            log(f"Session: {row['name']} - Failed to decrypt message with any known session... Error: Bad MAC")
            return False
        return True

    # What the server calls.

    def not_found(self, request: Request) -> Reply:
        return Reply(404, f"Cannot {request.method} {request.path}\n".encode(), {"Content-Type": "text/plain"})

    def failed(self, request: Request, error: Exception) -> Reply:
        log(f"ERROR: {request.method} {request.path}: {type(error).__name__}: {str(error).strip()}")
        if isinstance(error, redis.RedisError):
            return json_reply(NO_SECRET, 500)
        return json_reply({"error": "Internal server error"}, 500)

    def served(self, request: Request, reply: Reply, seconds: float) -> None:
        if request.path != "/":
            log(f"INFO: {request.method} {request.path} {reply.status} {seconds * 1000:.0f}ms")

    # Who asks.

    def _secret(self, name: str = SECRET) -> str:
        secret = self._cache.get(name)
        if not secret:
            raise HttpError(500, NO_SECRET)
        return str(secret)

    def _company(self, request: Request) -> int:
        """The company of the token's user."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        claims = tokens.read(self._secret(), token) if token else None
        if claims is None:
            raise HttpError(403, {"error": "ERR_SESSION_EXPIRED"})
        return int(claims["companyId"])

    def _login(self, request: Request) -> Reply:
        fields = request.form().fields
        user = self._database.row('SELECT * FROM "Users" WHERE email = %s', (str(fields.get("email", "")),))
        if user is None or not tokens.password_fits(str(fields.get("password", "")), user["passwordHash"]):
            return json_reply({"error": "ERR_INVALID_CREDENTIALS"}, 401)
        shown = {name: user[name] for name in ("id", "name", "email", "profile", "companyId", "super")}
        claims = {
            "usarname": user["name"],
            "profile": user["profile"],
            "id": user["id"],
            "companyId": user["companyId"],
        }
        refresh = {"id": user["id"], "tokenVersion": user["tokenVersion"], "companyId": user["companyId"]}
        cookie = f"jrt={tokens.issue(self._secret(REFRESH_SECRET), refresh)}; HttpOnly"
        reply = json_reply({"token": tokens.issue(self._secret(), claims), "user": shown})
        reply.headers["Set-Cookie"] = cookie
        return reply

    # Handlers.

    def _root(self, _request: Request) -> Reply:
        """The application's only sign of life: it needs the database and the secret in Redis."""
        self._database.rows('SELECT key, value FROM "Settings" LIMIT 1')
        self._secret()
        return json_reply(VERSION)

    def _list_whatsapps(self, request: Request) -> Reply:
        company = self._company(request)
        return json_reply(
            self._database.rows(
                'SELECT id, name, status, qrcode, battery, plugged, "isDefault", channel, "companyId", "updatedAt"'
                ' FROM "Whatsapps" WHERE "companyId" = %s ORDER BY id',
                (company,),
            )
        )

    def _list_tickets(self, request: Request) -> Reply:
        company = self._company(request)
        page = max(1, int(request.query.get("pageNumber", "1")))
        rows = self._database.rows(
            'SELECT * FROM "Tickets" WHERE "companyId" = %s ORDER BY "updatedAt" DESC, id LIMIT 40 OFFSET %s',
            (company, 40 * (page - 1)),
        )
        total = self._database.row('SELECT count(*) AS count FROM "Tickets" WHERE "companyId" = %s', (company,))
        count = total["count"] if total else 0
        return json_reply({"tickets": rows, "count": count, "hasMore": count > 40 * page})

    def _ticket(self, request: Request) -> Row:
        company = self._company(request)
        ticket = self._database.row(
            'SELECT * FROM "Tickets" WHERE id = %s AND "companyId" = %s', (int(request.params["ticket"]), company)
        )
        if ticket is None:
            raise HttpError(404, {"error": "ERR_NO_TICKET_FOUND"})
        return ticket

    def _list_messages(self, request: Request) -> Reply:
        ticket = self._ticket(request)
        rows = self._database.rows(
            'SELECT * FROM "Messages" WHERE "ticketId" = %s ORDER BY "createdAt", id LIMIT 40', (ticket["id"],)
        )
        return json_reply({"messages": rows, "ticket": ticket, "count": len(rows), "hasMore": False})

    def _create_message(self, request: Request) -> Reply:
        """Store a note with its media, as sending one does once WhatsApp has accepted it."""
        ticket = self._ticket(request)
        form = request.form()
        body = str(form.fields.get("body", ""))
        media: list[tuple[str | None, str]] = [
            (self._save_media(ticket, upload), upload.content_type) for upload in form.uploads
        ]
        for path, kind in media or [(None, "")]:
            digest = hashlib.sha256(f"{time.time_ns()}{ticket['id']}{path}".encode()).hexdigest()
            with self._database.transaction() as cursor:
                cursor.execute(
                    'INSERT INTO "Messages" (id, "ticketId", "contactId", "companyId", body, "mediaUrl", "mediaType",'
                    ' "fromMe", "createdAt", "updatedAt") VALUES (%s, %s, %s, %s, %s, %s, %s, true, now(), now())',
                    (
                        digest[:20].upper(),
                        ticket["id"],
                        ticket["contactId"],
                        ticket["companyId"],
                        body or os.path.basename(path or ""),
                        path,
                        kind.partition("/")[0] or None,
                    ),
                )
        return json_reply([path for path, _kind in media])

    def _save_media(self, ticket: Row, upload: Upload) -> str:
        """Write a file below public/media and return the path that goes into "mediaUrl"."""
        random = hashlib.sha256(f"{time.time_ns()}{upload.filename}".encode()).hexdigest()[:10]
        folder = Path("media", str(ticket["companyId"]), str(ticket["contactId"]), str(ticket["id"]), random)
        path = folder / (os.path.basename(upload.filename) or "file")
        (self._public / folder).mkdir(parents=True)
        (self._public / path).write_bytes(upload.content)
        return str(path)

    def _public_file(self, request: Request) -> Reply:
        root = Path(os.path.realpath(self._public))
        wanted = Path(os.path.realpath(root / request.params["path"]))
        if not wanted.is_relative_to(root) or not wanted.is_file():
            log(f"Error downloading file {request.params['path']}: ENOENT")
            return json_reply({"error": "File not found"}, 404)
        kind = mimetypes.guess_type(wanted.name)[0] or "application/octet-stream"
        return Reply(200, headers={"Content-Type": kind}, file=wanted)
