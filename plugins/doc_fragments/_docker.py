# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that talks to the container engine; DOCKER_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description: Where the Docker daemon listens.
    type: str
    default: unix:///var/run/docker.sock
  docker_timeout:
    description: Seconds to wait for an answer of the Docker daemon.
    type: int
    default: 60
requirements:
  - Docker Engine >= 20.10
  - python3-docker >= 5.0 on the host
"""
