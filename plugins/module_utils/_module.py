# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seam between Ansible and the rest: shared options and the error boundary.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from ._audit import AuditLog
from ._audit_chain import FAILED, OK
from ._backup_store import DEFAULT_METRICS, DEFAULT_ROOT
from ._encryption import METHODS, Encryption, Keys, holding
from ._engine import DEFAULT_HOST
from ._errors import ContinuityError, ProfileError, SignalError, StoreError
from ._profile import load
from ._signature import MODES as SIGNATURE_MODES
from ._space import CRITICAL, WARN

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from ansible.module_utils.basic import AnsibleModule

    from ._profile import Profile

# Of what went wrong, in the audit log.
LONGEST_MESSAGE = 2000

# Documented in plugins/doc_fragments/_docker.py.
DOCKER_OPTIONS: dict[str, t.Any] = {
    "docker_host": {"type": "str", "default": DEFAULT_HOST},
    "docker_timeout": {"type": "int", "default": 60},
}

# Documented in plugins/doc_fragments/_store.py.
STORE_OPTIONS: dict[str, t.Any] = {
    "backup_root": {"type": "path", "default": DEFAULT_ROOT},
}

# Documented in plugins/doc_fragments/_metrics.py.
METRICS_OPTIONS: dict[str, t.Any] = {
    "metrics_directory": {"type": "path", "default": DEFAULT_METRICS},
}

# Documented in plugins/doc_fragments/_audit.py.
ACTOR_OPTIONS: dict[str, t.Any] = {
    "actor": {
        "type": "dict",
        "default": {},
        "options": {"user": {"type": "str"}, "job": {"type": "str"}, "control_node": {"type": "str"}},
    },
}

# Documented in plugins/doc_fragments/_encryption.py.
ENCRYPTION_OPTIONS: dict[str, t.Any] = {
    "encryption": {
        "type": "dict",
        "options": {
            "method": {"type": "str", "choices": list(METHODS), "default": "none"},
            "recipients": {"type": "list", "elements": "str", "default": []},
            "passphrase_file": {"type": "path", "no_log": False},
        },
    },
}

# Documented in plugins/doc_fragments/_keys.py.
KEY_OPTIONS: dict[str, t.Any] = {
    "identity_file": {"type": "path"},
    "passphrase_file": {"type": "path", "no_log": False},
}

# Documented by each module that takes them.
SPACE_OPTIONS: dict[str, t.Any] = {
    "space_warn": {"type": "float", "default": WARN},
    "space_critical": {"type": "float", "default": CRITICAL},
}

# Documented in plugins/doc_fragments/_signers.py.
SIGNER_OPTIONS: dict[str, t.Any] = {
    "signers": {"type": "list", "elements": "str", "default": []},
    "signature": {"type": "str", "choices": list(SIGNATURE_MODES), "default": "required"},
}

# Documented in plugins/doc_fragments/_profiles.py.
PROFILE_OPTIONS: dict[str, t.Any] = {
    "profiles": {"type": "list", "elements": "raw", "default": []},
    "shipped_profiles": {"type": "list", "elements": "dict", "default": []},
}


def load_profiles(module: AnsibleModule) -> dict[str, Profile]:
    """Return the profiles that the task gives; raise ProfileError with the field and the reason for a bad one."""
    return load(module.params["shipped_profiles"], module.params["profiles"], validate)


def encryption_of(module: AnsibleModule) -> Encryption:
    """Return how the task wants files encrypted."""
    wanted = module.params["encryption"] or {}
    return Encryption(
        method=wanted.get("method", "none"),
        recipients=tuple(recipient.strip() for recipient in wanted.get("recipients", ())),
        passphrase_file=wanted.get("passphrase_file"),
    )


@dataclass
class Entry:
    """What a module has to say in the audit log; ``wanted`` is no where nothing was done.

    ``written`` is the event, once it is there: what a control node may keep of it.
    """

    stack: str | None = None
    backup: str | None = None
    result: str = OK
    facts: dict[str, t.Any] = field(default_factory=dict)
    wanted: bool = True
    written: dict[str, t.Any] | None = None


@contextlib.contextmanager
def audited(
    module: AnsibleModule, action: str, *, stack: str | None = None, needed: bool = False, begin: bool = True
) -> Iterator[Entry]:
    """Note in the audit log what the block does, and how it ends; nothing in check mode.

    ``needed`` says that what cannot be noted must not count as done: StoreError is raised then. Otherwise it is a
    warning. Without ``begin``, nothing is noted below a root that does not exist.
    """
    entry = Entry(stack=stack)
    try:
        yield entry
    except Exception as exc:
        known = isinstance(exc, (ContinuityError, OSError))
        entry.facts["message"] = str(exc)[:LONGEST_MESSAGE] if known else type(exc).__name__
        entry.result = FAILED if entry.result == OK else entry.result
        _note(module, action, entry, needed=False, begin=begin)
        raise
    _note(module, action, entry, needed=needed, begin=begin)


def _note(module: AnsibleModule, action: str, entry: Entry, *, needed: bool, begin: bool) -> None:
    root = module.params["backup_root"]
    if module.check_mode or not entry.wanted or not (begin or os.path.isdir(root)):
        return
    log = AuditLog(root)
    try:
        event = log.append(
            action,
            stack=entry.stack,
            backup=entry.backup,
            result=entry.result,
            actor=module.params["actor"],
            facts=entry.facts,
        )
    except StoreError as exc:
        if needed:
            raise
        module.warn(f"The audit log does not know of this: {exc}")
        return
    entry.written = event.receipt
    for remark in log.remarks:
        module.warn(remark)


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
    # For every reader of the module; those that do not take keys hold none.
    keys = Keys(module.params.get("identity_file"), module.params.get("passphrase_file"))
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    try:
        with holding(keys):
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
