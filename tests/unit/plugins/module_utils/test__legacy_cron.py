# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._legacy_cron import check_crontab, check_name, jobs
from ansible_collections.crm.continuity.plugins.module_utils._legacy_settings import unread_settings

# What nothing of the following may ever show.
SECRET = "hunter2hunter2"


class FakeHost:
    """A host with one user, one container and a few files."""

    def __init__(self, files=()):
        self.files = dict(files)

    def is_file(self, path):
        return path in self.files

    def is_executable(self, path):
        return bool(self.files.get(path, "").startswith("#!"))

    def text(self, path):
        return self.files.get(path) if self.is_executable(path) else None

    def has_user(self, name):
        return name == "root"

    def has_container(self, name):
        return name == "crm-db-1"


def found(line, *, files=(), system=False):
    text = line if line.endswith("\n") else f"{line}\n"
    findings = list(check_crontab("/etc/crontab", text, FakeHost(files), system=system))
    assert not any(SECRET in f"{finding.message}{finding.where}" for finding in findings)
    return [(finding.kind, finding.message) for finding in findings]


def test_a_crontab_is_read_as_cron_does():
    text = "# backup\nMAILTO=a@b\n\n0 2 * * * root /bin/backup now\n@daily root /bin/dump\n0 2 * * root\n"

    assert [(job.where, job.user, job.command) for job in jobs("/c", text, system=True)] == [
        ("/c:4", "root", "/bin/backup now"),
        ("/c:5", "root", "/bin/dump"),
    ]
    assert [job.command for job in jobs("/c", "0 2 * * * root /bin/backup\n", system=False)] == ["root /bin/backup"]


WORKS = {"/opt/backup.sh": "#!/bin/sh\nexec true\n"}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("0 2 * * * /opt/backup.sh", id="a script that is there"),
        pytest.param("0 2 * * * date +%F", id="nothing about backups"),
        pytest.param(r"0 2 * * * /opt/backup.sh $(date +\%F)", id="an escaped percent sign"),
        pytest.param("0 2 * * * docker compose -f /opt/crm/c.yml run --rm sidekick backup", id="compose with a file"),
        pytest.param("0 2 * * * cd /opt/crm && docker compose run --rm sidekick backup", id="compose in a directory"),
        pytest.param("0 2 * * * docker exec crm-db-1 pg_dump x > /b/x.sql", id="a container that is there"),
        pytest.param("0 2 * * * pg_dump x > /b/x.sql || echo failed", id="an alternative is no pipe"),
    ],
)
def test_what_works_is_nothing_to_report(line):
    assert found(line, files=WORKS) == []


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        pytest.param(
            "0 2 * * * /path/to/scripts/backup-helpdesk.sh", "cron", "does not exist", id="the script of the guide"
        ),
        pytest.param("0 2 * * * bash /opt/none/backup.sh", "cron", "does not exist", id="run by a shell"),
        pytest.param("0 2 * * * tar czf /b/x_$(date +%F).tar.gz /opt", "cron", "first '%'", id="a percent sign"),
        pytest.param("0 2 * * * docker compose run --rm sidekick backup", "cron", "give -f", id="compose nowhere"),
        pytest.param(
            "0 2 * * * docker compose -f /c.yml --profile backup up helpdesk-sidekick",
            "no-command",
            "nothing is backed up",
            id="the command of the guide",
        ),
        pytest.param("0 2 * * * docker exec -it crm-db-1 pg_dump x", "no-terminal", "Leave -t out", id="a terminal"),
        pytest.param("0 2 * * * docker exec helpdesk-sidekick backup", "no-container", "helpdesk-sidekick", id="gone"),
        pytest.param("0 2 * * * pg_dump x | gzip > /b/x", "lost-failure", "empty file", id="a pipe"),
        pytest.param(
            "0 2 * * * find /backups -name 'backup_*.tar.gz' -mtime +7 -delete", "blind-retention", "age", id="by age"
        ),
        pytest.param(
            f"0 2 * * * PGPASSWORD={SECRET} pg_dump x", "exposed-secret", "password stands in it", id="a password"
        ),
    ],
)
def test_what_cannot_work_is_named(line, kind, message):
    findings = found(line)

    assert [one[0] for one in findings] == [kind]
    assert message in findings[0][1]


def test_a_file_that_is_not_executable_is_named():
    assert "not executable" in found("0 2 * * * /opt/backup.sh", files={"/opt/backup.sh": "exec true"})[0][1]


def test_a_line_of_the_system_names_a_user():
    assert found("0 2 * * * root /opt/backup.sh", files=WORKS, system=True) == []
    assert "no user" in found("0 2 * * * /opt/backup.sh now", files=WORKS, system=True)[0][1]


def test_a_last_line_without_its_end_is_ignored_by_cron():
    host = FakeHost(WORKS)

    (finding,) = check_crontab("/c", "0 2 * * * /opt/backup.sh", host, system=False)

    assert "line feed" in finding.message
    assert list(check_crontab("/c", "0 2 * * * /opt/backup.sh\n# end", host, system=False)) == []


def test_the_script_that_a_crontab_runs_is_read_too():
    script = (
        "#!/bin/bash\n# docker exec -it x\ndocker compose --profile backup up helpdesk-sidekick\n"
        'if [ -f "$BACKUP_DIR/backup_$DATE.tar.gz" ]; then\n'
        'find $BACKUP_DIR -name "backup_*.tar.gz" -mtime +$RETENTION_DAYS -delete\n'
    )
    findings = check_crontab("/c", "0 2 * * * /opt/nightly.sh\n", FakeHost({"/opt/nightly.sh": script}), system=False)

    assert [(one.where, one.kind) for one in findings] == [
        ("/opt/nightly.sh:3", "no-command"),
        ("/opt/nightly.sh:4", "wrong-name"),
        ("/opt/nightly.sh:5", "blind-retention"),
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/cron.daily/backup-helpdesk.sh", 1),
        ("/etc/cron.daily/backup-helpdesk", 0),
        ("/etc/cron.daily/other.sh", 0),
    ],
)
def test_a_name_with_a_dot_is_passed_over(path, expected):
    assert len(list(check_name(path, "", FakeHost()))) == expected


@pytest.mark.parametrize(
    "line",
    [
        f'      BACKUP_ENCRYPTION_KEY: "{SECRET}"',
        f"      - BACKUP_ENCRYPTION_KEY={SECRET}",
        f"BACKUP_ENCRYPTION_KEY={SECRET}",
        f"export BACKUP_ENCRYPTION_KEY={SECRET}",
        f'  "BACKUP_ENCRYPTION_KEY": {SECRET}',
    ],
)
def test_a_setting_that_nobody_reads_is_named_without_its_value(line):
    (finding,) = unread_settings("/opt/crm/compose.yml", f"services:\n{line}\n")

    assert (finding.kind, finding.severity, finding.where) == ("unread-setting", "critical", "/opt/crm/compose.yml:2")
    assert "not encrypted" in finding.message
    assert SECRET not in finding.message


def test_settings_that_somebody_reads_and_comments_are_not_named():
    text = "DB_NAME=ticketz\nRETENTION_FILES=7\n# BACKUP_ENCRYPTION_KEY=x\nMY_BACKUP_ENCRYPTION_KEY=x\n"

    assert list(unread_settings("/x", text)) == []


def test_a_scrape_of_the_sidekick_is_named():
    (finding,) = unread_settings("/etc/prometheus/prometheus.yml", "  - targets: ['helpdesk-sidekick:9090']\n")

    assert "no metrics" in finding.message
