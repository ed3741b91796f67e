# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import stat
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._metrics import Attempt, render
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host

# A line of the text format: a name, labels, a value.
SAMPLE = re.compile(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\} (\S+)')


def samples(text):
    """Return the values by name and labels; every line has to be one of the format's."""
    found, typed = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            typed = line.split()[2]
            assert line.endswith(" gauge")
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        assert name == typed
        assert (name, labels) not in found
        found[name, labels] = float(value)
    assert text.endswith("\n")
    return found


@pytest.fixture
def host(tmp_path, monkeypatch):
    return crm_host(tmp_path, monkeypatch)


def test_a_backup_is_told_with_its_freeze_times(host, tmp_path):
    taken = host.back_up(metrics_directory=str(tmp_path))

    path = tmp_path / "crm_backup_crm.prom"
    found = samples(path.read_text())
    assert taken.metrics == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    freeze = taken.manifest.freeze
    assert found["crm_backup_last_attempt_success", 'stack="crm"'] == 1
    assert found["crm_backup_freeze_seconds", 'stack="crm"'] == freeze["seconds"]
    assert {labels: value for (name, labels), value in found.items() if name.endswith("service_freeze_seconds")} == {
        f'stack="crm",service="{entry["service"]}",mode="{entry["mode"]}"': entry["seconds"]
        for entry in freeze["services"]
    }
    assert found["crm_backup_size_bytes", 'stack="crm"'] == taken.manifest.size


def test_a_failure_is_told_and_the_newest_backup_stays(host, tmp_path):
    taken = host.back_up(metrics_directory=str(tmp_path))
    before = samples((tmp_path / "crm_backup_crm.prom").read_text())
    host.meanwhile("exit 2")

    with pytest.raises(Exception, match="tar exited with 2"):
        host.back_up(metrics_directory=str(tmp_path))

    after = samples((tmp_path / "crm_backup_crm.prom").read_text())
    assert after["crm_backup_last_attempt_success", 'stack="crm"'] == 0
    key = ("crm_backup_cut_timestamp_seconds", 'stack="crm"')
    assert after[key] == before[key]
    assert host.published() == [taken.backup.id]


def test_a_failure_before_any_backup_is_told_too(tmp_path):
    text = render(Attempt("crm", 1.0, 3.5, succeeded=False, latest=None))

    assert samples(text) == {
        ("crm_backup_last_attempt_timestamp_seconds", 'stack="crm"'): 1,
        ("crm_backup_last_attempt_duration_seconds", 'stack="crm"'): 2.5,
        ("crm_backup_last_attempt_success", 'stack="crm"'): 0,
    }


def test_nothing_is_written_where_nobody_collects(host, tmp_path):
    taken = host.back_up(metrics_directory=str(tmp_path / "nowhere"))

    assert (taken.metrics, taken.remarks) == (None, ())


def test_metrics_that_cannot_be_written_do_not_fail_a_backup(host, tmp_path):
    (tmp_path / "crm_backup_crm.prom").mkdir()

    taken = host.back_up(metrics_directory=str(tmp_path))

    assert host.published() == [taken.backup.id]
    assert taken.metrics is None
    assert taken.remarks[0].startswith(f"The metrics could not be written to {tmp_path}: ")


def test_a_service_of_several_containers_is_told_once(host, tmp_path):
    manifest = host.back_up().manifest
    services = [{"service": "web", "mode": "pause", "seconds": seconds} for seconds in (0.1, 0.3, 0.2)]
    attempt = Attempt(
        "crm", 1, 2, succeeded=True, latest=replace(manifest, freeze={"seconds": 1, "services": services})
    )

    found = samples(render(attempt))

    assert found["crm_backup_service_freeze_seconds", 'stack="crm",service="web",mode="pause"'] == 0.3


def test_labels_are_escaped(tmp_path):
    text = render(Attempt('a"b\\c\nd', 1, 2, succeeded=True, latest=None))

    assert len(samples(text)) == 3
