# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP surface of the Chatwoot stand-in."""

from __future__ import annotations

import datetime
import json
import mimetypes
import os
import typing as t
import urllib.parse
from pathlib import Path

import chatwoot_storage as storage
from chatwoot_config import VERSION
from chatwoot_secrets import DecryptionError, decrypt, encrypt
from standin_http import HttpError, Reply, Request, Route, Upload, json_reply
from standin_services import Row, log, redis_answers

if t.TYPE_CHECKING:
    from chatwoot_config import Config
    from psycopg2.extras import RealDictCursor

MANIFEST = Path("vite/.vite/manifest.json")
FILE_TYPES = ("image", "audio", "video", "file")
MESSAGE_TYPES = {"incoming": 0, "outgoing": 1, "activity": 2}
STATUSES = ("open", "resolved", "pending", "snoozed")

SELECT_ATTACHMENTS = """
    SELECT attachments.id, attachments.message_id, attachments.file_type, attachments.account_id,
           attachments.extension, blobs.id AS blob_id, blobs.filename, blobs.content_type, blobs.byte_size
      FROM attachments
      JOIN active_storage_attachments AS links
        ON links.record_type = 'Attachment' AND links.name = 'file' AND links.record_id = attachments.id
      JOIN active_storage_blobs AS blobs ON blobs.id = links.blob_id
     WHERE attachments.message_id = ANY (%s)
     ORDER BY attachments.id
"""


def install_assets(public: Path) -> None:
    """Fill an empty /app/public, which in the real image holds the compiled assets."""
    public.mkdir(parents=True, exist_ok=True)
    if any(public.iterdir()):
        return
    script = f"assets/dashboard-{VERSION}.js"
    (public / "vite/.vite").mkdir(parents=True)
    (public / "vite/assets").mkdir()
    (public / "vite" / script).write_text(f"// The dashboard of the Chatwoot stand-in {VERSION}.\n", encoding="utf-8")
    entries = {"entrypoints/dashboard.js": {"file": script, "isEntry": True}}
    (public / MANIFEST).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    (public / "robots.txt").write_text("User-agent: *\nDisallow: /\n", encoding="utf-8")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def _epoch(moment: datetime.datetime) -> int:
    return int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())


class Web:
    """Routes and handlers; every handler that needs a token says so by taking ``_account``."""

    def __init__(self, config: Config) -> None:
        self._config = config
        account = r"/api/v1/accounts/(?P<account>\d+)"
        messages = account + r"/conversations/(?P<display_id>\d+)/messages"
        blobs = r"/rails/active_storage/blobs/redirect/(?P<signed_id>[^/]+)/(?P<filename>.+)"
        self.routes = (
            Route("GET", r"/health", lambda _request: json_reply({"status": "woot"})),
            Route("GET", r"/api/?", self._status),
            Route("GET", r"/", self._root),
            Route("GET", r"/app/login", self._login_page),
            Route("GET", r"/api/v1/profile", self._profile),
            Route("GET", account, self._show_account),
            Route("GET", account + r"/inboxes", self._list_inboxes),
            Route("POST", account + r"/inboxes", self._create_inbox),
            Route("POST", account + r"/contacts", self._create_contact),
            Route("GET", account + r"/conversations", self._list_conversations),
            Route("POST", account + r"/conversations", self._create_conversation),
            Route("GET", account + r"/conversations/(?P<display_id>\d+)", self._show_conversation),
            Route("GET", messages, self._list_messages),
            Route("POST", messages, self._create_message),
            Route("DELETE", messages + r"/(?P<message>\d+)", self._delete_message),
            Route("GET", blobs, self._redirect_blob),
            Route("GET", r"/rails/active_storage/disk/(?P<token>[^/]+)/(?P<filename>.+)", self._disk),
        )

    # What the server calls.

    def not_found(self, request: Request) -> Reply:
        public = self._public_file(urllib.parse.unquote(request.path))
        if public is not None:
            kind = mimetypes.guess_type(public.name)[0] or "application/octet-stream"
            return Reply(200, headers={"Content-Type": kind}, file=public)
        return json_reply({"error": "Resource could not be found"}, 404)

    def failed(self, request: Request, error: Exception) -> Reply:
        log(f"[{request.id}] {type(error).__name__} in {request.method} {request.path}: {str(error).strip()}")
        return json_reply({"status": 500, "error": "Internal Server Error"}, 500)

    def served(self, request: Request, reply: Reply, seconds: float) -> None:
        if request.path in ("/health", "/api"):
            return
        log(f"[{request.id}] {request.method} {request.path} {reply.status} in {seconds * 1000:.0f}ms")

    # Status.

    def _status(self, _request: Request) -> Reply:
        return json_reply(
            {
                "version": VERSION,
                "timestamp": f"{_now():%Y-%m-%d %H:%M:%S}",
                "queue_services": "ok" if redis_answers(self._config.redis) else "failing",
                "data_services": "ok" if self._config.database.answers() else "failing",
            }
        )

    def _root(self, _request: Request) -> Reply:
        known = self._config.database.row("SELECT 1 AS one FROM accounts LIMIT 1")
        return Reply(302, headers={"Location": "/app/login" if known else "/installation/onboarding"})

    def _login_page(self, request: Request) -> Reply:
        try:
            entries = json.loads((self._config.public / MANIFEST).read_text(encoding="utf-8"))
            script = entries["entrypoints/dashboard.js"]["file"]
        except (OSError, ValueError, KeyError):
            log(f"[{request.id}] Vite Ruby can't find entrypoints/dashboard.js in the manifests.")
            return json_reply({"status": 500, "error": "Internal Server Error"}, 500)
        page = f'<!doctype html><title>Chatwoot stand-in</title><script src="/vite/{script}"></script>\n'
        return Reply(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _public_file(self, path: str) -> Path | None:
        root = Path(os.path.realpath(self._config.public))
        wanted = Path(os.path.realpath(root / path.lstrip("/")))
        return wanted if wanted.is_file() and wanted.is_relative_to(root) else None

    # Who asks.

    def _user(self, request: Request) -> Row:
        token = request.headers.get("api_access_token", "")
        user = self._config.database.row(
            "SELECT users.id, users.name, users.email FROM access_tokens"
            " JOIN users ON users.id = access_tokens.owner_id"
            " WHERE access_tokens.owner_type = 'User' AND access_tokens.token = %s",
            (token,),
        )
        if user is None:
            raise HttpError(401, {"error": "Invalid Access Token"})
        return user

    def _account(self, request: Request) -> tuple[int, Row]:
        """The account of the path and the user of the token, who must be a member of it."""
        user = self._user(request)
        account = int(request.params["account"])
        member = self._config.database.row(
            "SELECT role FROM account_users WHERE account_id = %s AND user_id = %s", (account, user["id"])
        )
        if member is None:
            raise HttpError(404, {"error": "Resource could not be found"})
        return account, user

    def _profile(self, request: Request) -> Reply:
        user = self._user(request)
        accounts = self._config.database.rows(
            "SELECT accounts.id, accounts.name FROM accounts JOIN account_users ON account_id = accounts.id"
            " WHERE user_id = %s ORDER BY accounts.id",
            (user["id"],),
        )
        return json_reply({**user, "accounts": accounts})

    def _show_account(self, request: Request) -> Reply:
        account, _user = self._account(request)
        return json_reply(self._config.database.row("SELECT id, name, domain FROM accounts WHERE id = %s", (account,)))

    # Inboxes and contacts.

    def _list_inboxes(self, request: Request) -> Reply:
        """List the inboxes with their channel tokens, which need the encryption key to be read."""
        account, _user = self._account(request)
        inboxes = self._config.database.rows(
            "SELECT inboxes.id, inboxes.channel_id, inboxes.name, inboxes.channel_type, channel_api.hmac_token"
            " FROM inboxes LEFT JOIN channel_api"
            " ON channel_type = 'Channel::Api' AND channel_api.id = inboxes.channel_id"
            " WHERE inboxes.account_id = %s ORDER BY inboxes.id",
            (account,),
        )
        try:
            for inbox in inboxes:
                if inbox["hmac_token"]:
                    inbox["hmac_token"] = decrypt(self._config.encryption_key, inbox["hmac_token"])
        except DecryptionError as error:
            log(f"[{request.id}] ActiveRecord::Encryption::Errors::Decryption: {error}")
            return json_reply({"status": 500, "error": "Internal Server Error"}, 500)
        return json_reply({"payload": inboxes})

    def _create_inbox(self, request: Request) -> Reply:
        account, _user = self._account(request)
        name = str(request.form().fields.get("name", "API"))
        identifier = storage.new_key()
        now = _now()
        with self._config.database.transaction() as cursor:
            channel = _insert(
                cursor,
                "channel_api",
                account_id=account,
                identifier=identifier,
                hmac_token=encrypt(self._config.encryption_key, storage.new_key()),
                created_at=now,
                updated_at=now,
            )
            inbox = _insert(
                cursor,
                "inboxes",
                channel_id=channel,
                channel_type="Channel::Api",
                account_id=account,
                name=name,
                created_at=now,
                updated_at=now,
            )
        return json_reply({"id": inbox, "name": name, "channel_type": "Channel::Api", "inbox_identifier": identifier})

    def _create_contact(self, request: Request) -> Reply:
        account, _user = self._account(request)
        fields = request.form().fields
        now = _now()
        source_id = storage.new_key()
        with self._config.database.transaction() as cursor:
            contact = _insert(
                cursor,
                "contacts",
                account_id=account,
                name=str(fields.get("name", "")),
                created_at=now,
                updated_at=now,
            )
            if fields.get("inbox_id"):
                _insert(
                    cursor,
                    "contact_inboxes",
                    contact_id=contact,
                    inbox_id=int(fields["inbox_id"]),
                    source_id=source_id,
                    created_at=now,
                    updated_at=now,
                )
        return json_reply({"payload": {"contact": {"id": contact}, "contact_inbox": {"source_id": source_id}}})

    # Conversations.

    def _list_conversations(self, request: Request) -> Reply:
        account, _user = self._account(request)
        page = max(1, int(request.query.get("page", "1")))
        conversations = self._config.database.rows(
            "SELECT * FROM conversations WHERE account_id = %s ORDER BY last_activity_at DESC, id DESC"
            " LIMIT 25 OFFSET %s",
            (account, 25 * (page - 1)),
        )
        total = self._config.database.row(
            "SELECT count(*) AS count FROM conversations WHERE account_id = %s", (account,)
        )
        meta = {"all_count": total["count"] if total else 0}
        return json_reply({"data": {"meta": meta, "payload": [_conversation_json(row) for row in conversations]}})

    def _show_conversation(self, request: Request) -> Reply:
        return json_reply(_conversation_json(self._conversation(request)))

    def _create_conversation(self, request: Request) -> Reply:
        account, _user = self._account(request)
        fields = request.form().fields
        source = self._config.database.row(
            "SELECT contact_inboxes.id, contact_inboxes.inbox_id, contact_id FROM contact_inboxes"
            " JOIN inboxes ON inboxes.id = inbox_id WHERE inboxes.account_id = %s AND source_id = %s",
            (account, str(fields.get("source_id", ""))),
        )
        if source is None:
            raise HttpError(404, {"error": "Resource could not be found"})
        now = _now()
        with self._config.database.transaction() as cursor:
            conversation = _insert(
                cursor,
                "conversations",
                account_id=account,
                inbox_id=source["inbox_id"],
                contact_id=source["contact_id"],
                contact_inbox_id=source["id"],
                last_activity_at=now,
                created_at=now,
                updated_at=now,
            )
        row = self._config.database.row("SELECT * FROM conversations WHERE id = %s", (conversation,))
        return json_reply(_conversation_json(row or {}))

    def _conversation(self, request: Request) -> Row:
        account, _user = self._account(request)
        conversation = self._config.database.row(
            "SELECT * FROM conversations WHERE account_id = %s AND display_id = %s",
            (account, int(request.params["display_id"])),
        )
        if conversation is None:
            raise HttpError(404, {"error": "Resource could not be found"})
        return conversation

    # Messages and their attachments.

    def _list_messages(self, request: Request) -> Reply:
        conversation = self._conversation(request)
        rows = self._config.database.rows(
            "SELECT * FROM (SELECT * FROM messages WHERE conversation_id = %s AND id < %s ORDER BY id DESC LIMIT 20)"
            " AS newest ORDER BY id",
            (conversation["id"], int(request.query.get("before", "2147483647"))),
        )
        meta = {"labels": [], "additional_attributes": conversation["additional_attributes"]}
        return json_reply({"meta": meta, "payload": self._messages_json(rows, conversation)})

    def _create_message(self, request: Request) -> Reply:
        conversation = self._conversation(request)
        _account, user = self._account(request)
        form = request.form()
        kind = str(form.fields.get("message_type", "outgoing"))
        if kind not in MESSAGE_TYPES:
            raise HttpError(422, {"error": f"'{kind}' is not a valid message_type"})
        now = _now()
        files = [(storage.new_key(), upload) for upload in form.uploads]
        with self._config.database.transaction() as cursor:
            message = _insert(
                cursor,
                "messages",
                content=form.fields.get("content"),
                account_id=conversation["account_id"],
                inbox_id=conversation["inbox_id"],
                conversation_id=conversation["id"],
                message_type=MESSAGE_TYPES[kind],
                private=str(form.fields.get("private", "false")).lower() == "true",
                sender_type="User",
                sender_id=user["id"],
                created_at=now,
                updated_at=now,
            )
            blobs = [_attach(cursor, conversation["account_id"], message, key, file, now) for key, file in files]
            cursor.execute("UPDATE conversations SET last_activity_at = %s WHERE id = %s", (now, conversation["id"]))
        # Rails uploads after the commit as well: a row may exist for a moment without its file.
        for key, upload in files:
            storage.store(self._config.storage, key, upload.content)
        for blob in blobs:
            self._enqueue("ActiveStorage::AnalyzeJob", blob)
        rows = self._config.database.rows("SELECT * FROM messages WHERE id = %s", (message,))
        return json_reply(self._messages_json(rows, conversation)[0])

    def _delete_message(self, request: Request) -> Reply:
        """Blank the text of a message and destroy its attachments."""
        conversation = self._conversation(request)
        message = int(request.params["message"])
        with self._config.database.transaction() as cursor:
            cursor.execute(
                "UPDATE messages SET content = 'This message was deleted', content_attributes = '{\"deleted\": true}'"
                " WHERE id = %s AND conversation_id = %s",
                (message, conversation["id"]),
            )
            if cursor.rowcount == 0:
                raise HttpError(404, {"error": "Resource could not be found"})
            keys = _detach(cursor, message)
        for key in keys:
            storage.path_of(self._config.storage, key).unlink(missing_ok=True)
        return Reply(200)

    def _messages_json(self, rows: list[Row], conversation: Row) -> list[Row]:
        found = self._config.database.rows(SELECT_ATTACHMENTS, ([row["id"] for row in rows],))
        return [
            {
                "id": row["id"],
                "content": row["content"],
                "inbox_id": row["inbox_id"],
                "conversation_id": conversation["display_id"],
                "message_type": row["message_type"],
                "content_type": "text",
                "status": "sent",
                "content_attributes": row["content_attributes"],
                "created_at": _epoch(row["created_at"]),
                "private": row["private"],
                "source_id": row["source_id"],
                "sender": {"id": row["sender_id"], "type": row["sender_type"]},
                "attachments": [self._attachment_json(file) for file in found if file["message_id"] == row["id"]],
            }
            for row in rows
        ]

    def _attachment_json(self, row: Row) -> Row:
        signed_id = storage.sign(self._config.secret_key_base, "blob_id", row["blob_id"])
        name = urllib.parse.quote(row["filename"], safe="")
        address = f"{self._config.frontend_url}/rails/active_storage/blobs/redirect/{signed_id}/{name}"
        return {
            "id": row["id"],
            "message_id": row["message_id"],
            "file_type": FILE_TYPES[row["file_type"]],
            "account_id": row["account_id"],
            "extension": row["extension"],
            "content_type": row["content_type"],
            "data_url": address,
            "thumb_url": address if row["file_type"] == 0 else "",
            "file_size": row["byte_size"],
            "width": None,
            "height": None,
        }

    def _redirect_blob(self, request: Request) -> Reply:
        blob_id = storage.unsign(self._config.secret_key_base, "blob_id", request.params["signed_id"])
        if blob_id is None:
            log(f"[{request.id}] ActiveSupport::MessageVerifier::InvalidSignature")
            raise HttpError(404, {"error": "Resource could not be found"})
        blob = self._config.database.row(
            "SELECT key, filename, content_type FROM active_storage_blobs WHERE id = %s", (blob_id,)
        )
        if blob is None:
            raise HttpError(404, {"error": "Resource could not be found"})
        token = storage.sign(self._config.secret_key_base, "blob_key", blob, storage.TOKEN_SECONDS)
        name = urllib.parse.quote(blob["filename"], safe="")
        location = f"{self._config.frontend_url}/rails/active_storage/disk/{token}/{name}"
        return Reply(302, headers={"Location": location, "Content-Type": "text/html"})

    def _disk(self, request: Request) -> Reply:
        blob = storage.unsign(self._config.secret_key_base, "blob_key", request.params["token"])
        if blob is None:
            raise HttpError(404, {"error": "Resource could not be found"})
        path = storage.path_of(self._config.storage, blob["key"])
        if not path.is_file():
            log(f"[{request.id}] ActiveStorage::FileNotFoundError (ActiveStorage::FileNotFoundError): {blob['key']}")
            return Reply(404)
        name = urllib.parse.quote(blob["filename"], safe="")
        headers = {
            "Content-Type": blob["content_type"] or "application/octet-stream",
            "Content-Disposition": f"inline; filename*=UTF-8''{name}",
        }
        return Reply(200, headers=headers, file=path)

    def _enqueue(self, name: str, argument: int) -> None:
        created = _now().timestamp()
        job = {"class": name, "args": [argument], "jid": storage.new_key(), "queue": "default", "created_at": created}
        self._config.redis.sadd("queues", "default")
        self._config.redis.lpush("queue:default", json.dumps(job))


def _conversation_json(row: Row) -> Row:
    return {
        "id": row["display_id"],
        "account_id": row["account_id"],
        "inbox_id": row["inbox_id"],
        "uuid": row["uuid"],
        "status": STATUSES[row["status"]],
        "additional_attributes": row["additional_attributes"],
        "custom_attributes": row["custom_attributes"],
        "last_activity_at": _epoch(row["last_activity_at"]),
        "created_at": _epoch(row["created_at"]),
    }


def _insert(cursor: RealDictCursor, table: str, **values: t.Any) -> int:
    """Insert one row into a table of this file's choice and return its id."""
    columns = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks}) RETURNING id", tuple(values.values()))
    return _only(cursor, "id")


def _only(cursor: RealDictCursor, column: str) -> int:
    row = cursor.fetchone()
    if row is None:
        raise LookupError(f"the statement returned no {column}")
    return int(row[column])


def _attach(
    cursor: RealDictCursor, account: int, message: int, key: str, upload: Upload, now: datetime.datetime
) -> int:
    """Insert the rows of one uploaded file and return the id of its blob."""
    kind = upload.content_type.partition("/")[0]
    attachment = _insert(
        cursor,
        "attachments",
        file_type=FILE_TYPES.index(kind) if kind in FILE_TYPES else FILE_TYPES.index("file"),
        message_id=message,
        account_id=account,
        extension=Path(upload.filename).suffix.lstrip(".") or None,
        created_at=now,
        updated_at=now,
    )
    blob = _insert(
        cursor,
        "active_storage_blobs",
        key=key,
        filename=upload.filename,
        content_type=upload.content_type,
        metadata='{"identified":true}',
        byte_size=len(upload.content),
        checksum=storage.checksum_of(upload.content),
        service_name="local",
        created_at=now,
    )
    _insert(
        cursor,
        "active_storage_attachments",
        name="file",
        record_type="Attachment",
        record_id=attachment,
        blob_id=blob,
        created_at=now,
    )
    return blob


def _detach(cursor: RealDictCursor, message: int) -> list[str]:
    """Delete the attachments of a message and return the keys whose files are to go."""
    cursor.execute("DELETE FROM attachments WHERE message_id = %s RETURNING id", (message,))
    attachments = [row["id"] for row in cursor.fetchall()]
    cursor.execute(
        "DELETE FROM active_storage_attachments WHERE record_type = 'Attachment' AND record_id = ANY (%s)"
        " RETURNING blob_id",
        (attachments,),
    )
    blobs = [row["blob_id"] for row in cursor.fetchall()]
    cursor.execute("DELETE FROM active_storage_blobs WHERE id = ANY (%s) RETURNING key", (blobs,))
    return [row["key"] for row in cursor.fetchall()]
