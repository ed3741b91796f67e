# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every unit test needs."""

from __future__ import annotations

import itertools
import shutil

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import (
    _audit,
    _backup_store,
    _encryption,
    _job,
    _journal,
    _module,
    _progress,
    _signature,
    _stack_cutover,
    _stack_stage,
    _stack_thaw,
    _watchdog,
)
from ansible_collections.crm.continuity.tests.unit import keys


@pytest.fixture(scope="session", autouse=True)
def own_place(tmp_path_factory):
    """Keep what fixtures of a whole file do apart from the host, and from other processes that run tests."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (_backup_store, _encryption):
            patch.setattr(module, "RUN", str(tmp_path_factory.mktemp("run")))
        # A quarter of a second for every artifact of every backup of the tests.
        patch.setattr(_encryption, "GUESSING_COST", "65536")
        patch.setattr(_audit, "DEFAULT_HEADS", str(tmp_path_factory.mktemp("heads")))
        patch.setattr(_signature, "DEFAULT_KEY", str(tmp_path_factory.mktemp("etc") / "signing_key"))
        for module in (_journal, _watchdog, _stack_thaw):
            patch.setattr(module, "DEFAULT_JOURNAL", str(tmp_path_factory.getbasetemp() / "journal"))
        yield


@pytest.fixture(scope="session")
def own_directories(tmp_path_factory):
    """Return a function that names directories of tests. The factory looks at all others before it makes one."""
    base, numbers = tmp_path_factory.mktemp("own"), itertools.count()
    return lambda: base / str(next(numbers))


@pytest.fixture
def own_directory(own_directories):
    """Return a directory with those that this test has instead of the host's."""
    directory = own_directories()
    for name in ("run", "lib", "etc", "var"):
        (directory / name).mkdir(parents=True)
    yield directory
    # A watchdog may still be at its end there.
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_locks(monkeypatch, own_directory):
    """Keep the locks of the host's stacks apart: a watchdog of one test may still hold one while the next runs."""
    for module in (_backup_store, _encryption):
        monkeypatch.setattr(module, "RUN", str(own_directory / "run"))


@pytest.fixture(autouse=True)
def journals(monkeypatch, own_directory):
    """Return the directory of the journals, which is not that of this host."""
    directory = own_directory / "lib" / "crm.continuity" / "journal"
    for module in (_journal, _watchdog, _stack_thaw):
        monkeypatch.setattr(module, "DEFAULT_JOURNAL", str(directory))
    return directory


@pytest.fixture(autouse=True)
def restores(monkeypatch, own_directory):
    """Return the directory of the records of restores, which is not that of this host."""
    directory = own_directory / "lib" / "crm.continuity" / "restore"
    for module in (_stack_cutover, _stack_stage, _stack_thaw):
        monkeypatch.setattr(module, "DEFAULT_RECORDS", str(directory))
    return directory


@pytest.fixture(autouse=True)
def jobs(monkeypatch, own_directory):
    """Return the directory of the job records, which is not that of this host; nobody asks for progress."""
    directory = own_directory / "lib" / "crm.continuity" / "jobs"
    monkeypatch.setattr(_job, "JOBS", str(directory))
    monkeypatch.setattr(_progress, "PROGRESS", str(own_directory / "run" / "progress"))
    monkeypatch.delenv(_progress.VARIABLE, raising=False)
    return directory


@pytest.fixture(autouse=True)
def heads(monkeypatch, own_directory):
    """Return where the ends of audit logs are remembered, which is not on this host."""
    directory = own_directory / "lib" / "crm.continuity" / "audit"
    monkeypatch.setattr(_audit, "DEFAULT_HEADS", str(directory))
    return directory


@pytest.fixture
def gnupg_home():
    """Return where GnuPG is told to look for settings, keys and its agent."""
    return f"{_encryption.RUN}/gnupg"


@pytest.fixture
def age_pair(tmp_path_factory):
    """Return keys of age."""
    return keys.age_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def passphrase_pair(tmp_path_factory):
    """Return passphrases."""
    return keys.passphrase_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture(params=["age", "aes256"])
def key_pair(request, tmp_path_factory):
    """Return keys of every method."""
    make = {"age": keys.age_pair, "aes256": keys.passphrase_pair}[request.param]
    return make(tmp_path_factory.mktemp("keys"))


@pytest.fixture(autouse=True)
def no_signing_key(monkeypatch, own_directory):
    """Let no backup of a test be signed with the key of this host."""
    monkeypatch.setattr(_signature, "DEFAULT_KEY", str(own_directory / "etc" / "signing_key"))


@pytest.fixture(autouse=True)
def default_root(monkeypatch, own_directory):
    """Return the backup root of modules that are told of none, which is not that of this host and does not exist."""
    root = own_directory / "var" / "backups"
    monkeypatch.setitem(_module.STORE_OPTIONS["backup_root"], "default", str(root))
    return root
