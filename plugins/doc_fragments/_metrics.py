# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that tells Prometheus; METRICS_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  metrics_directory:
    description:
      - Directory of the textfile collector of the Prometheus node exporter, which receives the files
        C(crm_backup_<stack>.prom) and C(crm_backup_host.prom). Nothing is written where there is no such directory.
    type: path
    default: /var/lib/prometheus/node-exporter
"""
