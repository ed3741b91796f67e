# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seam between Ansible and the rest: shared options and the error boundary.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import signal
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from ._backup_store import DEFAULT_ROOT
from ._engine import DEFAULT_HOST
from ._errors import ContinuityError, ProfileError, SignalError
from ._profile import load

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from ansible.module_utils.basic import AnsibleModule

    from ._profile import Profile

# Documented in plugins/doc_fragments/_docker.py.
DOCKER_OPTIONS: dict[str, t.Any] = {
    "docker_host": {"type": "str", "default": DEFAULT_HOST},
    "docker_timeout": {"type": "int", "default": 60},
}

# Documented in plugins/doc_fragments/_store.py.
STORE_OPTIONS: dict[str, t.Any] = {
    "backup_root": {"type": "path", "default": DEFAULT_ROOT},
}

# Documented in plugins/doc_fragments/_profiles.py.
PROFILE_OPTIONS: dict[str, t.Any] = {
    "profiles": {"type": "list", "elements": "raw", "default": []},
    "shipped_profiles": {"type": "list", "elements": "dict", "default": []},
}


def load_profiles(module: AnsibleModule) -> dict[str, Profile]:
    """Return the profiles that the task gives; raise ProfileError with the field and the reason for a bad one."""
    return load(module.params["shipped_profiles"], module.params["profiles"], validate)


def validate(subject: str, fields: dict[str, t.Any], data: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Check data against an argument specification and return it with the defaults filled in."""
    result = ArgumentSpecValidator(fields).validate(dict(data))
    if result.errors.errors:
        words = [f"unknown field {e.msg}" if isinstance(e, UnsupportedError) else e.msg for e in result.errors.errors]
        raise ProfileError(f"{subject}: {'; '.join(words)}")
    return dict(result.validated_parameters)


@contextlib.contextmanager
def reported_by(module: AnsibleModule) -> Iterator[None]:
    """Turn the failures an operator can act on into ``fail_json``; let bugs be tracebacks.

    A hang-up, an interrupt or a termination signal is raised as SignalError inside the block, so that every
    ``finally`` runs: a dropped connection must not leave a service frozen.
    """
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except ContinuityError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        module.fail_json(msg=f"{where}{exc.strerror or exc}", path=exc.filename)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second signal must not interrupt the clean-up.
    for other in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise SignalError(
        f"Interrupted by {signal.Signals(number).name}. What was frozen has been thawed, nothing was published."
    )
