# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure the collection side by side with the runbook's commands and with bare tools, on a server of the testbed."""
