# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CRM stack of the tests on a server: deployed from its compose file and filled."""

from __future__ import annotations

import typing as t

from .server import LAB, ROOT

if t.TYPE_CHECKING:
    from .server import Server

STACK = "crm"
PROJECT = "/opt/crm"


def deploy(server: Server) -> None:
    """Start the stack, empty."""
    standins = ROOT / "tests" / "standins"
    server.copy(standins / "stacks" / "crm", PROJECT)
    server.copy(standins / "seed", f"{LAB}/seed")
    server.run("docker", "compose", "--project-directory", PROJECT, "up", "--detach", "--wait")


def fill(server: Server, scale: str) -> None:
    """Fill the stack with rows, files and sessions."""
    server.run("python3", f"{LAB}/seed/seed.py", "--stack", "crm", "--project-dir", PROJECT, "--scale", scale)
