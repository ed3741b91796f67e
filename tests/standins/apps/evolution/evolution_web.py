# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP surface of the Evolution API stand-in, and the instances that it holds in memory."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
import typing as t

from evolution_sessions import BAILEYS, Sessions, State, instance_id_of
from standin_http import HttpError, Reply, Request, Route, json_reply
from standin_services import Row, log

if t.TYPE_CHECKING:
    from standin_services import Database

VERSION = "2.3.6"
RELATIONS = ("Chatwoot", "Proxy", "Setting")
COUNTED = ("Message", "Contact", "Chat")


class Api:
    """Routes and handlers; instances are loaded at the start and by restart, as in the real application."""

    def __init__(self, database: Database, sessions: Sessions, client_name: str, api_key: str) -> None:
        self._database = database
        self._sessions = sessions
        self._client_name = client_name
        self._api_key = api_key
        self._states: dict[str, State] = {}
        self._sending = threading.Lock()
        name = r"(?P<name>[^/]+)"
        self.routes = (
            Route("GET", r"/", self._welcome),
            Route("GET", r"/instance/fetchInstances", self._fetch),
            Route("GET", rf"/instance/connectionState/{name}", self._connection_state),
            Route("POST", r"/instance/create", self._create),
            Route("POST", rf"/instance/restart/{name}", self._restart),
            Route("DELETE", rf"/instance/logout/{name}", self._logout),
            Route("POST", rf"/message/sendText/{name}", self._send_text),
            Route("POST", r"/verify-creds", self._verify),
            Route("POST", rf"/standin/pair/{name}", self._pair),
        )

    def load(self) -> None:
        """Load the instances of this client name and connect them."""
        rows = self._database.rows('SELECT * FROM "Instance" WHERE "clientName" = %s', (self._client_name,))
        for row in rows:
            self._sessions.make_folder(row["id"])
            self._connect(row)

    # What the server calls.

    def not_found(self, request: Request) -> Reply:
        return _error(404, "Not Found", [f"Cannot {request.method} {request.path}"])

    def failed(self, request: Request, error: Exception) -> Reply:
        log(f"[Evolution API] ERROR [HTTP] {request.method} {request.path}: {type(error).__name__}: {error}")
        return _error(500, "Internal Server Error", str(error).strip())

    def served(self, request: Request, reply: Reply, seconds: float) -> None:
        if request.path != "/":
            millis = f"{seconds * 1000:.0f}ms"
            log(f"[Evolution API] VERBOSE [HTTP] {request.method} {request.path} {reply.status} {millis}")

    # Instances.

    def _welcome(self, _request: Request) -> Reply:
        return json_reply(
            {
                "status": 200,
                "message": "Welcome to the Evolution API, it is working!",
                "version": VERSION,
                "clientName": self._client_name,
                "manager": "http://localhost:8080/manager",
                "documentation": "https://doc.evolution-api.com",
                "whatsappWebVersion": "2.3000.1015901307",
            }
        )

    def _verify(self, request: Request) -> Reply:
        self._authorize(request, None)
        return json_reply({"status": 200, "message": "Credentials are valid", "facebookAppId": None})

    def _fetch(self, request: Request) -> Reply:
        self._authorize(request, None)
        wanted = {column: request.query.get(key) for column, key in _FILTERS.items() if request.query.get(key)}
        rows = [row for row in self._rows() if all(row[column] == value for column, value in wanted.items())]
        return json_reply([self._with_relations(row) for row in rows])

    def _connection_state(self, request: Request) -> Reply:
        row = self._instance(request)
        shown: Row = {"instanceName": row["name"]}
        if row["name"] in self._states:
            shown["state"] = self._states[row["name"]].name
        return json_reply({"instance": shown})

    def _create(self, request: Request) -> Reply:
        self._authorize(request, None)
        fields = request.form().fields
        name = str(fields.get("instanceName", "")).strip()
        if not name:
            return _error(400, "Bad Request", ["instanceName is required"])
        if self._database.row('SELECT 1 AS one FROM "Instance" WHERE name = %s', (name,)):
            return _error(403, "Forbidden", [f'This name "{name}" is already in use.'])
        instance_id = instance_id_of(fields.get("standinSeed"), name)
        token = str(fields.get("token") or secrets.token_hex(16)).upper()
        integration = str(fields.get("integration") or BAILEYS)
        with self._database.transaction() as cursor:
            cursor.execute(
                'INSERT INTO "Instance" (id, name, "connectionStatus", integration, number, token, "clientName")'
                " VALUES (%s, %s, 'close', %s, %s, %s, %s)",
                (instance_id, name, integration, fields.get("number"), token, self._client_name),
            )
            cursor.execute(
                'INSERT INTO "Setting" (id, "updatedAt", "instanceId") VALUES (%s, now(), %s)',
                (hashlib.sha256(f"setting:{instance_id}".encode()).hexdigest()[:25], instance_id),
            )
        self._sessions.make_folder(instance_id)
        state = self._connect(self._by_name(name))
        shown = {"instanceName": name, "instanceId": instance_id, "integration": integration, "status": state.name}
        return json_reply({"instance": shown, "hash": token}, 201)

    def _restart(self, request: Request) -> Reply:
        row = self._instance(request)
        state = self._connect(row)
        return json_reply({"instance": {"instanceName": row["name"], "state": state.name}})

    def _logout(self, request: Request) -> Reply:
        row = self._instance(request)
        self._sessions.forget(row["id"])
        log(f'[Evolution API] [{row["name"]}] INFO [WAMonitoringService] Instance "{row["name"]}" - LOGOUT')
        self._connect(row)
        return json_reply({"status": "SUCCESS", "error": False, "response": {"message": "Instance logged out"}})

    def _pair(self, request: Request) -> Reply:
        """Stand for the phone that scans the QR code. The real application has no such route."""
        row = self._instance(request)
        fields = request.form().fields
        self._sessions.pair(row, int(fields.get("seed", 1)), int(fields.get("keys", 60)))
        with self._database.transaction() as cursor:
            cursor.execute(
                'UPDATE "Instance" SET "ownerJid" = %s, "profileName" = %s WHERE id = %s',
                (f"{row['number'] or '5511900000000'}@s.whatsapp.net", row["name"], row["id"]),
            )
        state = self._connect(row)
        return json_reply({"instance": {"instanceName": row["name"], "state": state.name}})

    # Messages.

    def _send_text(self, request: Request) -> Reply:
        row = self._instance(request)
        fields = request.form().fields
        number, text = str(fields.get("number", "")), str(fields.get("text", ""))
        if not number or not text:
            return _error(400, "Bad Request", ["number and text are required"])
        key = {"remoteJid": f"{number}@s.whatsapp.net", "fromMe": True, "id": secrets.token_hex(10).upper()}
        # One message at a time, and only while the halves of the session belong together.
        with self._sending:
            state = self._sessions.state(row)
            if state.name != "open":
                self._sessions.complain(row["name"], state)
                return _error(500, "Internal Server Error", "Error: Connection Closed")
            if row["integration"] == BAILEYS:
                self._sessions.advance(row)
        with self._database.transaction() as cursor:
            cursor.execute(
                'INSERT INTO "Message" (id, key, "messageType", message, source, "messageTimestamp", status, '
                "\"instanceId\") VALUES (%s, %s, 'conversation', %s, 'unknown', %s, 'PENDING', %s)",
                (
                    f"c{secrets.token_hex(12)}",
                    json.dumps(key),
                    json.dumps({"conversation": text}),
                    int(time.time()),
                    row["id"],
                ),
            )
        return json_reply({"key": key, "message": {"conversation": text}, "status": "PENDING"}, 201)

    # Helpers.

    def _rows(self) -> list[Row]:
        return self._database.rows(
            'SELECT * FROM "Instance" WHERE "clientName" = %s ORDER BY name', (self._client_name,)
        )

    def _by_name(self, name: str) -> Row:
        row = self._database.row(
            'SELECT * FROM "Instance" WHERE name = %s AND "clientName" = %s', (name, self._client_name)
        )
        if row is None:
            payload = {"message": [f'The "{name}" instance does not exist']}
            raise HttpError(404, {"status": 404, "error": "Not Found", "response": payload})
        return row

    def _instance(self, request: Request) -> Row:
        """The instance of the path, for a caller who may use it."""
        self._authorize(request, request.params["name"])
        return self._by_name(request.params["name"])

    def _authorize(self, request: Request, name: str | None) -> None:
        """Accept the global key, or the token of the instance that is asked about."""
        given = request.headers.get("apikey", "").encode()
        if hmac.compare_digest(given, self._api_key.encode()):
            return
        row = self._database.row('SELECT token FROM "Instance" WHERE name = %s', (name,)) if name else None
        if row is None or not row["token"] or not hmac.compare_digest(given, row["token"].encode()):
            payload = {"message": "Unauthorized"}
            raise HttpError(401, {"status": 401, "error": "Unauthorized", "response": payload})

    def _connect(self, row: Row) -> State:
        """Try the session of an instance, log the result and store it where it changed."""
        state = self._sessions.state(row)
        self._states[row["name"]] = state
        self._sessions.complain(row["name"], state)
        with self._database.transaction() as cursor:
            cursor.execute(
                'UPDATE "Instance" SET "connectionStatus" = %s::"InstanceConnectionStatus"'
                ' WHERE id = %s AND "connectionStatus"::text <> %s',
                (state.name, row["id"], state.name),
            )
        return state

    def _with_relations(self, row: Row) -> Row:
        shown: Row = dict(row)
        shown.update(dict.fromkeys(("Rabbitmq", "Nats", "Sqs", "Websocket")))
        for table in RELATIONS:
            shown[table] = self._database.row(f'SELECT * FROM "{table}" WHERE "instanceId" = %s', (row["id"],))
        shown["_count"] = {}
        for table in COUNTED:
            counted = self._database.row(
                f'SELECT count(*) AS count FROM "{table}" WHERE "instanceId" = %s', (row["id"],)
            )
            shown["_count"][table] = counted["count"] if counted else 0
        return shown


_FILTERS = {"name": "instanceName", "id": "instanceId", "number": "number"}


def _error(status: int, error: str, message: t.Any) -> Reply:
    return json_reply({"status": status, "error": error, "response": {"message": message}}, status)
