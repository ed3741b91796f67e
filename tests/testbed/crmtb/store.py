# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume with the larger images as a nested engine keeps them. Copying it is much faster than loading images."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t

from . import bundle, nested
from .builder import OURS
from .console import say
from .engine import docker, docker_command
from .process import attempt
from .state import STATE, locked

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .recipes import Recipe

STORE = "crm.continuity.store"
# Two checkouts may fill theirs at the same time.
_PREFIX = f"crmtb-store-{hashlib.sha256(str(STATE).encode()).hexdigest()[:8]}"


def ensure(server: Recipe, recipes: Sequence[Recipe]) -> str:
    """Return the volume for servers of this image; fill it when the images have changed."""
    flavour = server.name.partition(":")[2]
    content = bundle.foundation(recipes)
    volume = f"{_PREFIX}-{flavour}-{bundle.key([server, *content])}"
    record = STATE / f"store-{flavour}"
    with locked("store"):
        if record.exists() and record.read_text() == volume and _exists(volume):
            return volume
        record.unlink(missing_ok=True)
        say(f"preparing the image store of {flavour} servers")
        _remove(f"{_PREFIX}-{flavour}-")
        docker("volume", "create", "--label", f"{OURS}=1", "--label", f"{STORE}={STATE}", volume)
        with _running(server, volume) as container:
            bundle.load(container, content)
        # Every engine has an identity of its own, and chooses networks that do not overlap with those around it.
        _work(server, f"{volume}:/to", "rm", "-rf", "/to/engine-id", "/to/network")
        record.write_text(volume)
    return volume


def seed(server: Recipe, store: str, volume: str) -> None:
    """Fill the volume of a new server from the store."""
    _work(server, f"{store}:/from:ro", "cp", "-a", "/from/.", "/to/", options=("--volume", f"{volume}:/to"))


def remove_all() -> None:
    """Remove the stores of this checkout."""
    _remove(_PREFIX)


def _remove(prefix: str) -> None:
    filters = ("--filter", f"label={STORE}", "--filter", f"name={prefix}")
    for volume in docker("volume", "ls", "--quiet", *filters).split():
        docker("volume", "rm", volume)


def _exists(volume: str) -> bool:
    return attempt([*docker_command(), "volume", "inspect", volume]).returncode == 0


def _work(server: Recipe, mount: str, *argv: str, options: Sequence[str] = ()) -> None:
    """Run a command on a volume that no engine uses."""
    # SYS_ADMIN is needed to keep the marks by which overlayfs knows what a layer has deleted.
    common = ("--rm", "--network", "none", "--cap-add", "SYS_ADMIN", "--label", f"{OURS}=1")
    # What everything stands on has the same tools, and neither a volume nor a program of its own.
    base = server
    while base.parent:
        base = base.parent
    docker("run", *common, "--volume", mount, *options, base.image, *argv)


@contextlib.contextmanager
def _running(server: Recipe, volume: str) -> Iterator[str]:
    """Run an engine on a volume, and stop it properly."""
    container = f"{volume}-filler"
    attempt([*docker_command(), "rm", "--force", container])
    options = ("--name", container, "--label", f"{OURS}=1", "--volume", f"{volume}:/var/lib/docker")
    docker("run", "--detach", *options, *nested.OPTIONS, server.image)
    try:
        nested.wait_for_engine(container)
        yield container
        docker("stop", container)
    finally:
        docker("rm", "--force", container)
