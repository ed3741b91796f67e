# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that all parts of a backup that was taken under load are of one instant, with stock tools and nothing else.

``python3 agree.py BACKUP`` unpacks what the writers have written (see load.py), reads their rows from the dump, starts
a Redis on the files that were captured, and prints what it found as JSON. What it demands:

- of every writer, that its directory is to the last byte in a state that belongs to its row, and its key too;
- of every attachment, that the file is there with the checksum of the row. The application itself stores the file
  after the row: ``--uploads`` says how many may be in between.
- of every WhatsApp session, that its signal keys are of the generation of its credentials, or one message ahead.

Runs on the server; standard library only.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from load_model import FILES, SHAPES, Disk, standing

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DECOMPRESS = {"zstd": ("zstd", "-dc"), "gzip": ("gzip", "-dc"), "none": ("cat",)}
EXTRACT = ("tar", "--extract", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse")
OWN = "load.bin"
SHAPES_WRITER = 90
WAIT = 20
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass
class Found:
    """What was found; ``problems`` are sentences, ``numbers`` says how far each writer had come."""

    numbers: dict[str, int] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    blobs: int = 0
    between: int = 0
    problems: list[str] = field(default_factory=list)


class Backup:
    """A backup as stock tools see it; ``server`` is the container whose pg_restore reads the dumps."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path = path
        self._scratch = scratch
        self.manifest = json.loads((path / "manifest.json").read_text())
        self.stack = str(self.manifest["stack"])

    def unpack(self, volume: str) -> Path:
        """Extract a volume, and remove what the list of deletions names, as a restore does."""
        source = f"{self.stack}_{volume}"
        place = self._scratch / volume
        place.mkdir()
        with self._plain(self._artifact("archive", source)) as archive:
            subprocess.run([*EXTRACT, f"--directory={place}"], stdin=archive, check=True)
        for artifact in self._artifacts("deletions", source):
            for name in (self._path / artifact["path"]).read_bytes().split(b"\0"):
                _remove(place, name)
        return place

    def rows(self, database: str, schema: str, table: str) -> list[dict[str, str]]:
        """Return the rows of one table of a dump; NULL is an empty text."""
        only = ("--data-only", f"--schema={schema}", f"--table={table}", "--file=-")
        server = f"{self.stack}-postgres-1"
        with self._plain(self._artifact("dump", database)) as dump:
            argv = ["docker", "exec", "-i", server, "pg_restore", *only]
            said = subprocess.run(argv, stdin=dump, stdout=subprocess.PIPE, text=True, check=True).stdout
        return list(_copied(said, table))

    def appendonly(self) -> bool:
        """Tell whether Redis reads its append-only file when it starts; else its snapshot."""
        return any(entry.get("appendonly") for entry in self.manifest["source"]["redis"])

    def _artifacts(self, kind: str, source: str) -> list[dict[str, t.Any]]:
        return [a for a in self.manifest["artifacts"] if a["kind"] == kind and a["source"] == source]

    def _artifact(self, kind: str, source: str) -> dict[str, t.Any]:
        found = self._artifacts(kind, source)
        if len(found) != 1:
            raise SystemExit(f"{self._path} holds {len(found)} artifacts of kind {kind} of {source}, not one.")
        return found[0]

    def _plain(self, artifact: Mapping[str, t.Any]) -> t.BinaryIO:
        plain = self._scratch / str(artifact["sha256"])
        if not plain.exists():
            argv = [*DECOMPRESS[artifact["compression"]], str(self._path / artifact["path"])]
            with plain.open("wb") as output:
                subprocess.run(argv, stdout=output, check=True)
        return plain.open("rb")


def check(backup: Backup, uploads: int) -> Found:
    """Check everything in one backup."""
    found = Found()
    with _redis(backup.unpack("redis_data"), appendonly=backup.appendonly()) as redis:
        _writers(backup, redis, found)
        _sessions(backup, redis, found)
    _blobs(backup, found, uploads)
    return found


def _writers(backup: Backup, redis: Redis, found: Found) -> None:
    places = {False: backup.unpack("load_files"), True: backup.unpack("load_shapes")}
    rows = {int(row["writer"]): int(row["number"]) for row in backup.rows("chatwoot_production", "load", "counters")}
    if not rows:
        found.problems.append("no writer has written anything")
    for writer, number in sorted(rows.items()):
        shapes = writer == SHAPES_WRITER
        now = standing(SHAPES if shapes else FILES, writer, number, Disk(places[shapes] / str(writer)).tree())
        key = int(redis.ask(9, "GET", f"load:{writer}") or -1)
        found.numbers[str(writer)] = number
        if now.calls is None:
            some = "; ".join(now.differences[:5])
            found.problems.append(
                f"writer {writer}: its row says {number} and {len(now.differences)} names differ: {some}"
            )
        # The key comes last: it may lack the last step only while nothing of the next one is there.
        if key != number and not (key == number - 1 and not now.calls):
            found.problems.append(f"writer {writer}: its key says {key}, its row {number}")


def _sessions(backup: Backup, redis: Redis, found: Found) -> None:
    for row in backup.rows("evolution", "evolution_api", "Session"):
        creds = json.loads(json.loads(row["creds"]))
        stored = redis.ask(6, "HGET", f"evolution:instance:{row['sessionId']}", "standin-generation")
        keys = json.loads(stored)["generation"] if stored else None
        found.generations[row["sessionId"]] = creds["generation"]
        # A message moves the keys first.
        if keys is None or keys - creds["generation"] not in (0, 1):
            found.problems.append(
                f"session {row['sessionId']}: credentials of generation {creds['generation']}, signal keys of {keys}"
            )
    if not found.generations:
        found.problems.append("there is no WhatsApp session")


def _blobs(backup: Backup, found: Found, uploads: int) -> None:
    storage = backup.unpack("chatwoot_storage")
    missing = []
    for row in backup.rows("chatwoot_production", "public", "active_storage_blobs"):
        if row["service_name"] != "local":
            continue
        found.blobs += 1
        key = row["key"]
        path = storage / key[0:2] / key[2:4] / key
        content = path.read_bytes() if path.is_file() else None
        if content is not None and len(content) == int(row["byte_size"]) and row["checksum"] in ("", _md5(content)):
            continue
        if row["filename"] == OWN:
            state = "no file" if content is None else f"a file of {len(content)} bytes with another checksum"
            found.problems.append(f"attachment {key} of {row['byte_size']} bytes has {state}")
        else:
            missing.append(key)
    found.between = len(missing)
    if len(missing) > uploads:
        found.problems.append(f"{len(missing)} attachments have no file, and only {uploads} uploads were under way")


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


class Redis:
    """A server of its own on a copy of the files."""

    def __init__(self, container: str) -> None:
        self._container = container

    def ask(self, database: int, *words: str) -> str:
        """Return the answer to one command."""
        return _docker("exec", self._container, "redis-cli", "-n", str(database), *words).strip()

    def __enter__(self) -> Redis:
        deadline = time.monotonic() + WAIT
        while _docker("exec", self._container, "redis-cli", "ping", accept=(0, 1)).strip() != "PONG":
            if time.monotonic() > deadline:
                said = _docker("logs", self._container, accept=(0, 1))
                self.__exit__()
                raise SystemExit(f"A Redis on the captured files does not start: {said[-1500:]}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_error: object) -> None:
        _docker("rm", "--force", self._container)


def _redis(place: Path, *, appendonly: bool) -> Redis:
    # A file that ends in the middle of a command is an error here, as it is for any other artifact.
    options = ("--appendonly", "yes" if appendonly else "no", "--aof-load-truncated", "no", "--save", "")
    image = ("--volume", f"{place}:/data", "redis:7-alpine", "redis-server", *options)
    return Redis(_docker("run", "--detach", "--network=none", *image).strip())


def _docker(*arguments: str, accept: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in accept:
        raise SystemExit(f"docker {' '.join(arguments)}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def _remove(place: Path, name: bytes) -> None:
    if not name:
        return
    path = place / name.decode(errors="surrogateescape").removeprefix("./")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        # Its directory may have been listed before it.
        path.unlink(missing_ok=True)


def _copied(script: str, table: str) -> Iterator[dict[str, str]]:
    columns: list[str] | None = None
    for line in script.splitlines():
        if columns is None:
            head, _bracket, rest = line.partition(" (")
            if head.startswith("COPY ") and head.rpartition(".")[2].strip('"') == table:
                columns = [name.strip('"') for name in rest.partition(")")[0].split(", ")]
        elif line == "\\.":
            columns = None
        else:
            yield dict(zip(columns, (_field(value) for value in line.split("\t")), strict=True))


def _field(value: str) -> str:
    if value == "\\N":
        return ""
    read, following = [], iter(value)
    for character in following:
        escaped = next(following) if character == "\\" else ""
        read.append(ESCAPES.get(escaped, escaped) or character)
    return "".join(read)


def main() -> int:
    """Check a backup, print what was found, and return 1 when its parts do not agree."""
    parser = argparse.ArgumentParser(description="Check that all parts of a backup are of one instant.")
    parser.add_argument("backup", type=Path, help="directory of the backup")
    parser.add_argument("--uploads", type=int, default=0, help="how many uploads the application itself had under way")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agree-") as scratch:
        found = check(Backup(options.backup, Path(scratch)), options.uploads)
    print(json.dumps(vars(found)))
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
