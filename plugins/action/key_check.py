# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try a key of the control node on what key_check shows of the backups of a host; the key does not go there."""

from __future__ import annotations

import os
import tempfile
import typing as t
from dataclasses import asdict

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ..module_utils._encryption import Keys
from ..module_utils._errors import ContinuityError
from ..module_utils._files import write_atomically
from ..module_utils._key_check import Opened, attempt

# In memory, where there is such a place.
MEMORY = "/dev/shm"
SECRETS = ("identity_file", "identity", "passphrase")


class ActionModule(ActionBase):
    """Lets the host show its artifacts, decrypts them here, and lets the host note the verdict."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Try the key."""
        result = super().run(tmp, task_vars)
        given = dict(self._task.args)
        must_open = given.pop("fail_on_refusal", True)
        secrets = {name: given.pop(name, None) or None for name in SECRETS}
        arguments = {name: value for name, value in given.items() if name != "verdicts"}
        found = self._execute_module(module_args=arguments, task_vars=task_vars)
        if "shown" not in found:
            return {**result, **found}
        opened = self._attempt(found["shown"], secrets)
        verdicts = [{**asdict(one), "ok": one.ok} for one in opened]
        noted = [verdict for verdict in verdicts if verdict["encrypted"]]
        result.update(changed=False, ok=all(one.ok for one in opened), backups=verdicts, audit=None)
        if noted and not self._task.check_mode:
            told = self._execute_module(module_args={**arguments, "verdicts": noted}, task_vars=task_vars)
            if told.get("failed"):
                return {**told, "ok": result["ok"], "backups": verdicts}
            result["audit"] = told["audit"]
        if not result["ok"] and boolean(must_open):
            result.update(failed=True, msg=_failure(opened))
        return result

    def _attempt(self, shown: list[dict[str, t.Any]], secrets: dict[str, t.Any]) -> list[Opened]:
        place = MEMORY if os.path.isdir(MEMORY) else None
        try:
            with tempfile.TemporaryDirectory(prefix="crm.continuity.", dir=place) as directory:
                keys = _keys(secrets, directory)
                return [attempt(backup, keys, directory) for backup in shown]
        except ContinuityError as exc:
            raise AnsibleActionFail(str(exc)) from exc


def _keys(secrets: dict[str, t.Any], directory: str) -> Keys:
    paths = {}
    for name in ("identity", "passphrase"):
        if secrets[name] is not None:
            paths[name] = os.path.join(directory, name)
            write_atomically(paths[name], f"{secrets[name]}\n".encode())
    if secrets["identity_file"] is not None:
        paths["identity"] = os.path.expanduser(secrets["identity_file"])
    return Keys(paths.get("identity"), paths.get("passphrase"))


def _failure(opened: list[Opened]) -> str:
    refused = [f"{one.stack} {one.id}: {'; '.join(one.problems)}" for one in opened if not one.ok]
    return (
        f"The key does not open everything. {' '.join(refused)} Find the key that belongs to the recipients in the "
        "manifests before these backups are needed, or take new ones for a key that you have."
    )
