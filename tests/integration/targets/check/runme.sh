#!/usr/bin/env bash
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Asks hosts that are broken in every way how their backups stand.
set -euo pipefail
exec "${ANSIBLE_TEST_PYTHON_INTERPRETER:-python3}" check.py
