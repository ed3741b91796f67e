# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How servers are reached: the keys, ssh_config, known_hosts and the Ansible inventory."""

from __future__ import annotations

import io
import json
import os
import shlex
import tarfile
import typing as t

from .process import run
from .state import CLIENT_KEY, HOST_KEY, INVENTORY, KNOWN_HOSTS, SSH_CONFIG, STATE, locked

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def ensure_keys() -> None:
    """Create the key that opens the servers and the one by which they are known, once."""
    with locked("keys"):
        for key in (CLIENT_KEY, HOST_KEY):
            if not key.exists():
                run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "crm.continuity testbed", "-f", str(key)])


def server_files() -> bytes:
    """Return the keys as a tar to unpack at the root of a server."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        directory = tarfile.TarInfo("root/.ssh")
        directory.type = tarfile.DIRTYPE
        directory.mode = 0o700
        archive.addfile(directory)
        for source, name, mode in (
            (_public(CLIENT_KEY), "root/.ssh/authorized_keys", 0o600),
            (HOST_KEY, "etc/ssh/ssh_host_ed25519_key", 0o600),
            (_public(HOST_KEY), "etc/ssh/ssh_host_ed25519_key.pub", 0o644),
        ):
            content = source.read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write(ports: Mapping[str, int]) -> None:
    """Write the files by which ssh and Ansible find the servers: name to port."""
    options = {
        "IdentityFile": str(CLIENT_KEY),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(KNOWN_HOSTS),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": "crm-continuity-testbed",
    }
    algorithm, key = _public(HOST_KEY).read_text().split()[:2]
    _replace(KNOWN_HOSTS, f"crm-continuity-testbed {algorithm} {key}\n")

    lines = []
    for name, port in ports.items():
        lines += [f"Host {name}", "  HostName 127.0.0.1", f"  Port {port}", "  User root"]
        lines += [f'  {option} "{value}"' for option, value in options.items()]
    _replace(SSH_CONFIG, "".join(f"{line}\n" for line in lines))

    # A path with a space needs quotes for ssh, and those need quotes for the shell.
    arguments = " ".join(shlex.quote(f'-o{option}="{value}"') for option, value in options.items())
    lines = ["---", "# Written by tests/testbed/testbed; changes are lost.", "crm:"]
    lines += ["  vars:"]
    lines += [f"    {name}: {json.dumps(value)}" for name, value in _connection(arguments).items()]
    lines += ["  hosts:"] if ports else ["  hosts: {}"]
    for name, port in ports.items():
        lines += [f"    {name}:", f"      ansible_port: {port}"]
    _replace(INVENTORY, "".join(f"{line}\n" for line in lines))


def _connection(ssh_arguments: str) -> dict[str, str]:
    return {
        "ansible_host": "127.0.0.1",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(CLIENT_KEY),
        "ansible_ssh_common_args": ssh_arguments,
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def _public(key: Path) -> Path:
    return key.with_name(key.name + ".pub")


def _replace(path: Path, text: str) -> None:
    """Write a file at once, so that nobody who reads it meanwhile sees half of it."""
    STATE.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)
