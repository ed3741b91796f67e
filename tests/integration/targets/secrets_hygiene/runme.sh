#!/usr/bin/env bash
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Plants secrets, runs the playbooks, and looks for the secrets wherever they must not be.
set -euo pipefail
exec "${ANSIBLE_TEST_PYTHON_INTERPRETER:-python3}" hygiene.py
