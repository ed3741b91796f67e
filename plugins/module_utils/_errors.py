# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors that an operator can act on.

    ContinuityError
    ├── EngineError      the container engine refused or could not be reached
    ├── FreezeError      a service does not stand still, or did not until the end
    │   └── FreezeTimeoutError    services stood still for too long, and have been thawed
    ├── StackError       the stack, a service or a volume is not what was asked for
    ├── ProfileError     a profile is wrong; names the field
    ├── DatabaseError    PostgreSQL refused, could not be reached, or disagrees with the manifest
    ├── RedisError       Redis refused or could not be reached
    ├── ProcessError     a program that we started failed
    ├── ArchiveError     an archive is damaged or hostile
    ├── StoreError       the backup root, a backup or its manifest is missing, damaged or busy
    │   └── BusyError    somebody else works on the stack
    └── SignalError      a signal asked us to stop

Everything else that is raised is a bug and stays a traceback. Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t


class ContinuityError(Exception):
    """Something failed that the operator can understand and mend; ``details`` go into the module's result."""

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.details = details


class EngineError(ContinuityError):
    """The container engine refused or could not be reached."""


class FreezeError(ContinuityError):
    """A service does not stand still, or did not until the end of the cut."""


class FreezeTimeoutError(FreezeError):
    """Services stood still for longer than allowed; the watchdog has thawed them, and the cut does not count."""


class StackError(ContinuityError):
    """The stack, a service or a volume is not what was asked for."""


class ProfileError(ContinuityError):
    """A profile is wrong; the message names the profile and the field."""


class DatabaseError(ContinuityError):
    """PostgreSQL refused, could not be reached, or disagrees with the manifest."""


class RedisError(ContinuityError):
    """Redis refused or could not be reached."""


class ProcessError(ContinuityError):
    """A program that we started failed; the message ends with what it printed."""


class ArchiveError(ContinuityError):
    """An archive is damaged or hostile. Nothing of it has reached live data."""


class StoreError(ContinuityError):
    """The backup root, a backup or its manifest is missing, damaged or busy."""


class BusyError(StoreError):
    """Somebody else works on the stack; the message names him."""


class SignalError(ContinuityError):
    """A signal asked us to stop; raised in the main thread so that every ``finally`` runs."""
