# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that restore a stack; SERVER_OPTIONS in module_utils/_database_options.py."""

    DOCUMENTATION = r"""
options:
  database_user:
    description: User for a server that is not a container of the stack, or whose container does not name its superuser.
    type: str
  database_password:
    description: Password of O(database_user).
    type: str
  sslmode:
    description: How the connection to a server outside the stack is encrypted, in libpq's terms.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  sslrootcert:
    description: File with the certificates of authorities that such a server has to have its own from.
    type: path
"""
