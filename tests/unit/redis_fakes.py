# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Redis in memory, as redis-cli in its container would answer."""

from __future__ import annotations

import fnmatch
import os
import typing as t
from dataclasses import replace

from ansible_collections.crm.continuity.plugins.module_utils._process import Stage

from .fakes import FakeEngine, container

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.crm.continuity.plugins.module_utils._engine import Container


class RedisEngine(FakeEngine):
    """An engine whose containers all hold the same keys, by database.

    A container that was started apart reads them from a file of the directory that it sees, one line a key, and writes
    them there when it is told to. ``answers`` replaces what a command answers; ``broken`` is what it printed when it
    could not read the file.
    """

    def __init__(self, containers: Sequence[Container] = (), keys: dict[str, set[str]] | None = None) -> None:
        super().__init__(containers)
        self.keys = keys or {}
        self.asked: list[str] = []
        self.answers: dict[str, str] = {}
        self.apart: list[dict[str, t.Any]] = []
        self.removed: list[str] = []
        self.exit_code = 0
        self.broken = ""
        self.forgetful = False
        self._file = ""

    def exec_stage(self, container: str, name: str, argv: Sequence[str], **more: t.Any) -> Stage:
        words = list(argv[1:])
        self.asked.append(" ".join(word for word in words if "\n" not in word))
        if not words:
            return Stage(
                name,
                ["sh", "-c", 'while read -r line; do printf \'aof_buffer_length:0\\n"%s"\\n\' "${line#ECHO }"; done'],
            )
        answer = self.answers.get(words[0])
        answer = self._answer(words) if answer is None else answer
        return Stage(name, ["printf", "%s\n", answer], env=more.get("env") or {})

    def run_apart(
        self, image: str, argv: Sequence[str], *, name: str, directory: str, target: str, user: str
    ) -> Container:
        self.apart.append({"image": image, "argv": list(argv), "name": name, "directory": directory, "user": user})
        option = next(word for word in argv if word in ("--dbfilename", "--appenddirname", "--appendfilename"))
        self._file = os.path.join(directory, argv[list(argv).index(option) + 1])
        if os.path.isdir(self._file):
            self._file = os.path.join(self._file, "appendonly.aof.manifest")
        with open(self._file) as stream:
            self.keys = {}
            for line in stream.read().splitlines()[1:]:
                number, _blank, key = line.partition(" ")
                self.keys.setdefault(number, set()).add(key)
        state = "exited" if self.broken else "running"
        self.by_id[name] = container("redis", image, id=name, name=name, state=state)
        return self.by_id[name]

    def remove(self, id_: str) -> None:
        self.removed.append(id_)
        self.by_id.pop(id_, None)

    def inspect(self, id_: str) -> dict[str, t.Any]:
        return {"State": {"ExitCode": self.exit_code}}

    def stop(self, id_: str, timeout: int) -> None:
        self.by_id[id_] = replace(self.by_id[id_], state="exited")

    def logs(self, id_: str, tail: int, since: int | None = None) -> str:
        return self.broken

    def _answer(self, words: Sequence[str]) -> str:
        if words[0] == "PING":
            return "Could not connect" if self.broken else "PONG"
        if words[0] == "INFO":
            numbers = "".join(f"db{number}:keys={len(keys)},expires=0\n" for number, keys in self.keys.items() if keys)
            persistence = "aof_rewrite_in_progress:0\naof_rewrite_scheduled:0\naof_last_bgrewrite_status:ok\n"
            return f"redis_version:7.2.4\n{persistence}{numbers}"
        if words[:2] == ["CONFIG", "GET"]:
            return f"{words[2]}\n{'/data' if words[2] == 'dir' else 'no'}"
        if words[0] == "EVAL":
            number, pattern, mode = words[3:6]
            found = {key for key in self.keys.get(number, ()) if fnmatch.fnmatchcase(key, pattern)}
            if mode == "delete" and not self.forgetful:
                self.keys[number] = self.keys[number] - found
            return str(len(found))
        if words[0] in ("SAVE", "BGREWRITEAOF"):
            if self._file:
                self._write()
            return "OK" if words[0] == "SAVE" else "Background append only file rewriting started"
        return f"ERR unknown command {words[0]}"

    def _write(self) -> None:
        with open(self._file) as stream:
            first = stream.readline()
        lines = [f"{number} {key}\n" for number, keys in sorted(self.keys.items()) for key in sorted(keys)]
        with open(self._file, "w") as stream:
            stream.writelines([first, *lines])
