# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create, find and remove servers: containers that run their own sshd and dockerd."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import socket
import time
import typing as t
from dataclasses import dataclass

from . import access, nested, store
from .builder import OURS, RECIPE
from .bundle import load
from .console import TestbedError, elapsed, say
from .engine import docker, docker_command
from .process import attempt, run
from .recipes import DEFAULT_FLAVOUR, Recipe
from .state import MACHINE, STATE, locked

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX = "crmtb-"
NETWORK = f"{PREFIX}net"
SERVER = "crm.continuity.server"
CHECKOUT = "crm.continuity.checkout"
PORT = "crm.continuity.port"
OPTIONS = "crm.continuity.options"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
# Below the range from which the kernel takes ports for outgoing connections.
PORTS = range(22100, 22900)
BACKUP_ROOT = "/var/backups/crm"
THAW = """
for file in $(grep -rlsx FROZEN --include=freezer.state /sys/fs/cgroup); do echo THAWED >"$file"; done
for file in $(grep -rlsx 1 --include=cgroup.freeze /sys/fs/cgroup); do echo 0 >"$file"; done
"""


@dataclass(frozen=True)
class Options:
    """How a server is made. One that exists is only used again if it was made like this."""

    flavour: str = DEFAULT_FLAVOUR
    memory: str | None = None
    tmpfs_backup: str | None = None

    def __str__(self) -> str:
        words = [self.flavour]
        words += [f"--memory {self.memory}"] if self.memory else []
        words += [f"--tmpfs-backup {self.tmpfs_backup}"] if self.tmpfs_backup else []
        return " ".join(words)


@dataclass(frozen=True)
class Server:
    """A server that exists."""

    name: str
    port: int
    options: str
    state: str
    checkout: str
    image: str

    @property
    def container(self) -> str:
        return PREFIX + self.name

    @property
    def volume(self) -> str:
        return f"{PREFIX}{self.name}-docker"

    @property
    def ours(self) -> bool:
        return self.checkout == str(STATE)


def server_recipe(recipes: Sequence[Recipe], flavour: str) -> Recipe:
    """Return the recipe of the server image of a flavour."""
    return next(recipe for recipe in recipes if recipe.name == f"server:{flavour}")


def up(names: Sequence[str], options: Options, recipes: Sequence[Recipe]) -> list[Server]:
    """Make sure that the named servers run, answer and have the CRM images."""
    image = server_recipe(recipes, options.flavour)
    access.ensure_keys()
    with locked("servers", MACHINE):
        existing = {server.name: server for server in everything()}
        for server in [existing[name] for name in names if name in existing]:
            _check_reusable(server, options, image)
            # Under this lock it can only be left over from a run that was interrupted, with half a volume.
            if server.state == "created":
                _remove(existing.pop(server.name))
        new = [name for name in names if name not in existing]
        if new:
            images = store.ensure(image, recipes)
            for name in new:
                _create(name, options, image)
            each(chosen(new), lambda server: _fill_and_start(server, image, images))
    write_access()
    each(chosen(names), lambda server: _boot(server, recipes))
    return chosen(names)


def reload(names: Sequence[str], recipes: Sequence[Recipe]) -> None:
    """Bring the current CRM images into servers that run."""
    each(chosen(names), lambda server: load(server.container, recipes))


def down(servers: Sequence[Server]) -> None:
    """Remove servers with all that is in them."""
    each(servers, _remove)
    with locked("servers", MACHINE):
        left = everything()
        if not left and attempt([*docker_command(), "network", "inspect", NETWORK]).returncode == 0:
            docker("network", "rm", NETWORK)
    write_access()


def everything() -> list[Server]:
    """Return all servers on this machine, those of other checkouts included."""
    ids = docker("ps", "--all", "--quiet", "--filter", f"label={SERVER}").split()
    if not ids:
        return []
    # One may go away between the two commands; the client then still prints the others.
    entries = json.loads(attempt([*docker_command(), "container", "inspect", *ids]).stdout or b"[]")
    return sorted((_server(entry) for entry in entries), key=lambda server: server.name)


def chosen(names: Sequence[str]) -> list[Server]:
    """Return this checkout's servers of these names; all must exist."""
    existing = {server.name: server for server in everything() if server.ours}
    missing = [name for name in names if name not in existing]
    if missing:
        raise TestbedError(f"There is no server {', '.join(missing)} here. Run: tests/testbed/testbed up {missing[0]}")
    return [existing[name] for name in names]


def present(names: Sequence[str]) -> list[Server]:
    """Return those of the named servers of this checkout that exist, or all of them when no name is given."""
    return [server for server in everything() if server.ours and (not names or server.name in names)]


def write_access() -> None:
    """Bring inventory and ssh_config in line with the servers that exist."""
    access.ensure_keys()
    with locked("access"):
        access.write({server.name: server.port for server in everything() if server.ours})


def each(servers: Iterable[Server], action: t.Callable[[Server], object]) -> None:
    """Do something with several servers at once; raise the first error after all are done."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as pool:
        jobs = [pool.submit(action, server) for server in servers]
    for job in jobs:
        job.result()


def _server(entry: dict[str, t.Any]) -> Server:
    labels = entry["Config"]["Labels"]
    return Server(
        name=labels[SERVER],
        port=int(labels[PORT]),
        options=labels[OPTIONS],
        state=entry["State"]["Status"],
        checkout=labels[CHECKOUT],
        image=labels[RECIPE],
    )


def _check_reusable(server: Server, options: Options, image: Recipe) -> None:
    if not server.ours:
        raise TestbedError(
            f"A server {server.name} belongs to another checkout, {server.checkout}. "
            "Use another name, or remove it there."
        )
    if server.options != str(options):
        raise TestbedError(
            f"The server {server.name} was made with other options ({server.options}). "
            f"Run: tests/testbed/testbed down {server.name}"
        )
    if server.image != image.fingerprint:
        say(f"{server.name} is used again although its image has changed; down and up renew it")


def _create(name: str, options: Options, image: Recipe) -> None:
    if not NAME.fullmatch(name):
        raise TestbedError(f"{name!r} cannot name a server. Use small letters, digits and dashes.")
    if attempt([*docker_command(), "network", "inspect", NETWORK]).returncode != 0:
        docker("network", "create", "--label", f"{OURS}=1", NETWORK)
    volume, port = f"{PREFIX}{name}-docker", _free_port()
    labels = {OURS: "1", SERVER: name, CHECKOUT: str(STATE), PORT: str(port), OPTIONS: str(options)}
    # Left over where only the container was removed; its networks may be the one that the server gets now.
    docker("volume", "rm", "--force", volume)
    docker("volume", "create", "--label", f"{OURS}=1", "--label", f"{CHECKOUT}={STATE}", volume)
    argv = ["--name", PREFIX + name, "--hostname", name, "--network", NETWORK, "--volume", f"{volume}:/var/lib/docker"]
    argv += [word for label, value in labels.items() for word in ("--label", f"{label}={value}")]
    argv += ["--publish", f"127.0.0.1:{port}:22", *nested.OPTIONS]
    if options.memory:
        argv += ["--memory", options.memory, "--memory-swap", options.memory]
    if options.tmpfs_backup:
        argv += ["--tmpfs", f"{BACKUP_ROOT}:size={options.tmpfs_backup},mode=0700"]
    docker("container", "create", *argv, image.image)
    docker("cp", "-", f"{PREFIX}{name}:/", stdin=access.server_files())


def _free_port() -> int:
    taken = {server.port for server in everything()}
    for port in PORTS:
        if port not in taken:
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
    raise TestbedError(f"No port from {PORTS.start} to {PORTS.stop - 1} of 127.0.0.1 is free. Remove some servers.")


def _fill_and_start(server: Server, image: Recipe, images: str) -> None:
    store.seed(image, images, server.volume)
    docker("start", server.container)


def _boot(server: Server, recipes: Sequence[Recipe]) -> None:
    """Start a server if it does not run, wait until it answers, and load the images it lacks."""
    began = elapsed()
    if server.state == "paused":
        docker("unpause", server.container)
    elif server.state != "running":
        docker("start", server.container)
    wait(server)
    booted = elapsed()
    loaded = load(server.container, recipes)
    images = f"images in {elapsed() - booted:.1f} s" if loaded else "images are there"
    say(f"{server.name} answers on 127.0.0.1:{server.port} after {booted - began:.1f} s, {images}")


def wait(server: Server) -> None:
    """Wait until sshd and the server's own Docker Engine answer."""
    nested.wait_for_engine(server.container)
    deadline = time.monotonic() + nested.BOOT_TIMEOUT
    while not _greets(server.port):
        if time.monotonic() > deadline:
            raise TestbedError(f"sshd of {server.name} does not answer on 127.0.0.1:{server.port}.")
        time.sleep(0.1)


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _remove(server: Server) -> None:
    # A process that a test has left frozen cannot be killed.
    attempt([*docker_command(), "exec", server.container, "sh", "-c", THAW])
    run([*docker_command(), "rm", "--force", "--volumes", server.container])
    run([*docker_command(), "volume", "rm", "--force", server.volume])
    say(f"removed {server.name}")
