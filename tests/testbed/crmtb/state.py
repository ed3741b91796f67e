# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the testbed keeps what it must remember: build/testbed of this checkout."""

from __future__ import annotations

import contextlib
import fcntl
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[3]
STANDINS = CHECKOUT / "tests" / "standins" / "apps"
IMAGES = CHECKOUT / "tests" / "testbed" / "images"
STATE = CHECKOUT / "build" / "testbed"
LOGS = STATE / "logs"
CLIENT_KEY = STATE / "id_ed25519"
HOST_KEY = STATE / "host_ed25519"
KNOWN_HOSTS = STATE / "known_hosts"
SSH_CONFIG = STATE / "ssh_config"
INVENTORY = STATE / "inventory.yml"
DOCKERD_RECORD = STATE / "dockerd.json"
DOCKERD_LOG = STATE / "dockerd.log"
# For what all checkouts of a machine have in common.
MACHINE = Path("/run/lock/crmtb")


@contextlib.contextmanager
def locked(name: str, place: Path = STATE) -> Iterator[None]:
    """Let one process at a time do ``name``, in this checkout; the lock goes with the process, however it ends."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / f"{name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
