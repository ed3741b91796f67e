# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the fault tests that runs on the server itself, so that a blow falls when it is meant to.

Knows the collection only as payloads to run and as files on the disk: it serves to check it. Standard library only.
"""
