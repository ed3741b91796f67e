# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job worker of the Chatwoot stand-in: Sidekiq's keys in Redis, one kind of job.

ActiveStorage::AnalyzeJob reads an uploaded file from the shared storage volume, so a worker that does not
share the volume, or a file that got lost, shows in its log.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import typing as t

import redis
from chatwoot_storage import checksum_of, path_of
from standin_services import FAILURES, log

if t.TYPE_CHECKING:
    from chatwoot_config import Config

HEARTBEAT_SECONDS = 10
QUEUES = ("critical", "high", "default", "mailers", "low")


class Worker:
    """Takes jobs from the queues, one after the other, and tells Redis that it lives."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._identity = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(6).hex()}"
        self._stopping = False
        self._next_beat = 0.0

    def run(self) -> None:
        """Work until SIGTERM or SIGINT arrives."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        log(f"pid={os.getpid()} class=Sidekiq INFO: Running the Chatwoot stand-in's worker")
        while not self._stopping:
            self._turn()
        log("INFO: Bye!")

    def _stop(self, _signal: int, _frame: t.Any) -> None:
        self._stopping = True

    def _turn(self) -> None:
        """Wait a second for a job and do it."""
        try:
            self._beat()
            taken = self._config.redis.brpop([f"queue:{name}" for name in QUEUES], timeout=1)
            if taken is not None:
                self._work(json.loads(t.cast("list[str]", taken)[1]))
        except redis.RedisError as error:
            log(f"ERROR: Redis is unavailable: {error}")
            time.sleep(1)

    def _beat(self) -> None:
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + HEARTBEAT_SECONDS
        with self._config.redis.pipeline() as pipe:
            pipe.sadd("processes", self._identity)
            pipe.hset(self._identity, mapping={"beat": str(time.time()), "quiet": "false", "busy": "0"})
            pipe.expire(self._identity, 60)
            pipe.execute()

    def _work(self, job: dict[str, t.Any]) -> None:
        name = str(job.get("class"))
        log(f"class={name} jid={job.get('jid')} INFO: start")
        if name == "ActiveStorage::AnalyzeJob":
            try:
                self._analyze(int(job["args"][0]))
            except FAILURES as error:
                log(f"class={name} jid={job.get('jid')} WARN: fail: {error}")
                self._config.redis.zadd("retry", {json.dumps(job): time.time() + 30})
                return
        self._config.redis.incr("stat:processed")
        log(f"class={name} jid={job.get('jid')} INFO: done")

    def _analyze(self, blob_id: int) -> None:
        """Read the file of a blob, compare it with the checksum and note its size in the metadata."""
        blob = self._config.database.row("SELECT key, checksum FROM active_storage_blobs WHERE id = %s", (blob_id,))
        if blob is None:
            return
        try:
            content = path_of(self._config.storage, blob["key"]).read_bytes()
        except FileNotFoundError:
            log(f"ActiveStorage::FileNotFoundError: blob {blob_id} has no file for its key {blob['key']}")
            return
        if checksum_of(content) != blob["checksum"]:
            log(f"ActiveStorage::IntegrityError: the file of blob {blob_id} does not match its checksum")
            return
        metadata = json.dumps({"identified": True, "analyzed": True}, separators=(",", ":"))
        with self._config.database.transaction() as cursor:
            cursor.execute("UPDATE active_storage_blobs SET metadata = %s WHERE id = %s", (metadata, blob_id))
