# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers that run a Docker Engine of their own: what they need from the engine outside, and their start."""

from __future__ import annotations

from .console import TestbedError
from .engine import docker_command
from .process import attempt

BOOT_TIMEOUT = 90
# Besides what every container has. Neither --privileged nor --cap-add ALL: a machine that lacks one of them itself, as
# virtual ones may, refuses both. No SYS_TIME or SYS_BOOT, which would act on the machine outside.
_CAPABILITIES = (
    *("DAC_READ_SEARCH", "IPC_LOCK", "LINUX_IMMUTABLE", "NET_ADMIN"),
    *("SYSLOG", "SYS_ADMIN", "SYS_NICE", "SYS_PTRACE"),
)
OPTIONS = (
    *(word for capability in _CAPABILITIES for word in ("--cap-add", capability)),
    *("--device-cgroup-rule", "a *:* rwm", "--security-opt", "seccomp=unconfined"),
    *("--security-opt", "apparmor=unconfined"),
    # What is in /run must not outlive a restart: pid files and sockets.
    *("--tmpfs", "/run", "--stop-timeout", str(BOOT_TIMEOUT)),
)
_QUESTION = "until docker version >/dev/null 2>&1; do sleep 0.1; done"


def wait_for_engine(container: str) -> None:
    """Wait until the engine inside a container answers."""
    argv = [*docker_command(), "exec", container]
    if attempt([*argv, "timeout", str(BOOT_TIMEOUT), "sh", "-c", _QUESTION]).returncode != 0:
        words = attempt([*argv, "tail", "/var/log/docker.log"]).stdout
        words = words or attempt([*docker_command(), "logs", "--tail", "10", container]).stderr
        raise TestbedError(f"The engine inside {container} did not start:\n{words.decode(errors='replace')}")
