# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """By whom a backup has to be signed; SIGNER_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  signers:
    description:
      - Whose signatures count, as lines of an allowed-signers file, see C(ssh-keygen(1)). The principal of each line is
        the name of a host, as its manifests say it. The role C(prepare) prints the line of each host.
      - When empty, nobody can tell who made a backup. A signature that does not fit is refused all the same.
    type: list
    elements: str
    default: []
  signature:
    description:
      - What becomes of a backup without a signature when there are O(signers). V(required) refuses it, V(optional) is
        for backups from before their host had a key.
      - A backup that is signed by somebody else is always refused.
    type: str
    choices: [required, optional]
    default: required
"""
