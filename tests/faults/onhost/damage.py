# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damage: flipped bits, and archives that end too early."""

from __future__ import annotations

import shutil
import subprocess
import typing as t
from pathlib import Path

from . import backups, target
from .module import Result, run
from .tally import Attempt, Tally

if t.TYPE_CHECKING:
    import random

# What the payloads read; each was a good one when they were prepared.
COPY = Path("/var/backups/damage")
PLACE = Path("/root/lab/damage")
ARCHIVE = PLACE / "summed.tar.zst"
DUMP = PLACE / "summed.dump.zst"
SIGNATURE, LOG = "SHA256SUMS.sig", "audit.jsonl"
ENDINGS = ("tar.zst", "tar.gz", "tar")


def flipped(tally: Tally, count: int, chance: random.Random) -> None:
    """Flip one bit of a backup, its signature or the audit log, verify, and flip it back."""
    shutil.rmtree(COPY / backups.STACK, ignore_errors=True)
    id_ = max(backups.listed())
    shutil.copytree(backups.ROOT / backups.STACK / id_, COPY / backups.STACK / id_)
    files = sorted(path for path in (COPY / backups.STACK / id_).rglob("*") if path.is_file())
    if not any(path.name == SIGNATURE for path in files):
        tally.add("the backup has a signature", Attempt(other=["nothing signed it"]))
    files.append(COPY / LOG)
    sizes = [path.stat().st_size for path in files]
    for number in range(count):
        # By turns each file alike, so that small ones are hit, and each byte alike.
        path = chance.choice(files) if number % 2 else chance.choices(files, sizes)[0]
        flip(path, bit := chance.randrange(path.stat().st_size * 8))
        attempt = Attempt()
        _judge(attempt, run("verify-copy"), "verified as sound")
        flip(path, bit)
        tally.add(f"bit {bit} of {path.name}", attempt)
    result = run("verify-copy")
    if not result.succeeded:
        tally.add("all bits flipped back", Attempt(other=[f"a sound backup is refused: {result.message}"]))


def restored(tally: Tally, count: int, chance: random.Random) -> None:
    """Flip one bit of an archive or a dump and restore it over live data, with the checksum of the manifest."""
    for number in range(count):
        path, payload = ((ARCHIVE, "import-summed"), (DUMP, "restore-summed"))[number % 2]
        target.reset()
        before = target.fingerprint() if path == ARCHIVE else target.database()
        flip(path, bit := chance.randrange(path.stat().st_size * 8))
        attempt = Attempt()
        _judge(attempt, run(payload), "restored")
        flip(path, bit)
        after = target.fingerprint() if path == ARCHIVE else target.database()
        attempt.lost += [] if before == after else ["live data has changed"]
        attempt.other += target.leftovers()
        tally.add(f"bit {bit} of {path.name}", attempt)


def truncated(tally: Tally, count: int, chance: random.Random) -> None:
    """Import archives that end too early, without any checksum to go by."""
    whole = {ending: (PLACE / f"whole.{ending}").read_bytes() for ending in ENDINGS}
    for number in range(count):
        ending = ENDINGS[number % len(ENDINGS)]
        content = whole[ending]
        length = _length(number, len(content), chance)
        target.reset()
        before = target.fingerprint()
        (PLACE / f"cut.{ending}").write_bytes(content[:length])
        result = run(f"import-{ending}")
        attempt = Attempt()
        if result.succeeded and target.fingerprint() == _content(ending):
            # All that was cut off is padding: it holds everything.
            pass
        else:
            _judge(attempt, result, "imported")
            attempt.lost += [] if before == target.fingerprint() else ["live data has changed"]
        attempt.other += target.leftovers()
        tally.add(
            f"{length} of {len(content)} bytes of {ending}: {result.message[:100] or 'holds everything'}", attempt
        )


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file over."""
    with path.open("r+b") as stream:
        stream.seek(bit // 8)
        byte = stream.read(1)[0]
        stream.seek(bit // 8)
        stream.write(bytes([byte ^ 1 << bit % 8]))


def _length(number: int, size: int, chance: random.Random) -> int:
    """Return where to cut: at random, but also where it hides best, at blocks and near the end."""
    kind = number // len(ENDINGS) % 4
    if kind == 0:
        return size - chance.randrange(1, min(size, 2048))
    if kind == 1:
        return chance.randrange(size // 512) * 512
    return chance.randrange(size)


def _content(ending: str) -> str:
    """Return the fingerprint of what the whole archive holds."""
    directory = PLACE / "content"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    argv = ["tar", "-x", "-p", "--numeric-owner", "-f", str(PLACE / f"whole.{ending}"), "-C", str(directory)]
    subprocess.run(argv, check=True)
    return target.fingerprint(directory)


def _judge(attempt: Attempt, result: Result, verb: str) -> None:
    if result.succeeded:
        attempt.undetected.append(f"it was {verb}")
    elif not result.clean:
        attempt.other.append(f"no clean error: {result.message}")
