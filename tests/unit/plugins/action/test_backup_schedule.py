# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import ansible.constants
import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader

from ansible_collections.crm.continuity.plugins.action.backup_schedule import ActionModule
from ansible_collections.crm.continuity.plugins.module_utils._version import VERSION
from ansible_collections.crm.continuity.plugins.plugin_utils._bundle import unpacked_digest
from ansible_collections.crm.continuity.tests.unit.fakes import shipped

BACKUP = {"name": "backup", "calendar": "daily", "calls": [{"module": "stack_backup", "each": True}]}
PRUNE = {"name": "prune", "calendar": "weekly", "calls": [{"module": "backup_prune"}]}


class Action(ActionModule):
    """The action plugin on a control node with one host, which has the program or lacks it."""

    lacks = False

    def _execute_module(self, **more):
        given = more["module_args"]
        self.executed.append(given)
        return {
            "changed": True,
            "archive_wanted": self.lacks and "archive" not in given,
            "invocation": {"module_args": given},
        }

    def _transfer_file(self, local_path, remote_path):
        self.sent.append(unpacked_digest(local_path))
        return remote_path

    def _fixup_perms2(self, remote_paths, remote_user=None, execute=True):
        return {}


@pytest.fixture
def action(tmp_path, monkeypatch):
    """Return a function that makes the action plugin for a task."""
    monkeypatch.setattr(ansible.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))

    def make(lacks=False, check_mode=False, **arguments):
        task = SimpleNamespace(
            args=arguments,
            action="crm.continuity.backup_schedule",
            async_val=0,
            check_mode=check_mode,
            environment=None,
            get_search_path=lambda: [str(tmp_path)],
        )
        shell = SimpleNamespace(tmpdir="/tmp/x", join_path=lambda *parts: "/".join(parts))
        connection = SimpleNamespace(_shell=shell, has_pipelining=False)
        loader = DataLoader()
        loader.set_basedir(str(tmp_path))
        plugin = Action(task, connection, SimpleNamespace(), loader, SimpleNamespace(), SimpleNamespace())
        plugin.lacks, plugin.executed, plugin.sent = lacks, [], []
        return plugin

    return make


def test_a_host_that_has_the_program_gets_the_jobs_only(action):
    plugin = action(jobs=[BACKUP])

    plugin.run(task_vars={})

    (given,) = plugin.executed
    assert plugin.sent == []
    assert len(given["digest"]) == 64
    assert given["versions"]["version"] == VERSION


def test_a_host_that_lacks_the_program_gets_it_and_is_asked_again(action):
    plugin = action(lacks=True, jobs=[BACKUP])

    plugin.run(task_vars={})

    first, second = plugin.executed
    assert plugin.sent == [first["digest"]]
    assert second == {**first, "archive": "/tmp/x/archive.pyz"}


def test_in_check_mode_nothing_is_sent(action):
    plugin = action(lacks=True, check_mode=True, jobs=[BACKUP])

    plugin.run(task_vars={})

    assert (len(plugin.executed), plugin.sent) == (1, [])


def test_what_recognises_stacks_gets_the_profiles_and_nothing_else_does(action):
    plugin = action(jobs=[{**BACKUP, "profiles": [{"name": "own"}]}, PRUNE])

    plugin.run(task_vars={})

    backup, prune = plugin.executed[0]["jobs"]
    assert (backup["shipped_profiles"], backup["profiles"]) == (shipped(), [{"name": "own"}])
    assert [call["recognises"] for call in (*backup["calls"], *prune["calls"])] == [True, False]
    assert "shipped_profiles" not in prune


def test_the_program_is_packed_once_for_all_hosts(action, tmp_path):
    for _host in range(2):
        action(lacks=True, jobs=[BACKUP, PRUNE]).run(task_vars={})

    assert [path.name for path in tmp_path.iterdir()] == ["crm-continuity-backup_prune-stack_backup-stack_info.pyz"]


def test_to_take_it_away_nothing_is_packed(action, tmp_path):
    plugin = action(state="absent", jobs=[BACKUP])

    plugin.run(task_vars={})

    assert list(tmp_path.iterdir()) == []
    assert plugin.executed == [{"state": "absent", "jobs": [BACKUP]}]


def test_the_result_does_not_repeat_the_profiles(action):
    assert action(jobs=[BACKUP]).run(task_vars={}) == {"changed": True, "archive_wanted": False}


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({**BACKUP, "calendar": "25:00"}, "is no calendar expression"),
        ({"name": "backup", "calls": []}, "A job needs a name, a calendar"),
        ({**BACKUP, "calls": [{}]}, "calls that name a module each"),
        ({**BACKUP, "calls": [{"module": "backup_everything"}]}, "There is no module backup_everything"),
    ],
)
def test_a_job_that_cannot_run_is_refused_before_the_host_is_asked(action, job, words):
    plugin = action(jobs=[job])

    with pytest.raises(AnsibleActionFail, match=words):
        plugin.run(task_vars={})

    assert plugin.executed == []
