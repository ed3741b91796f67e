# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alarms and the dashboard: they are about metrics that we write, and each alarm rings when it has to.

What rings is compared with what backup_status says of the same host.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.crm.continuity.plugins.module_utils._metrics import Metric, host_metrics, render, stack_metrics
from ansible_collections.crm.continuity.plugins.module_utils._schedule_metrics import schedule_metrics
from ansible_collections.crm.continuity.plugins.module_utils._schedule_state import OK, Owner, Run, State
from ansible_collections.crm.continuity.plugins.module_utils._space import judge
from ansible_collections.crm.continuity.plugins.module_utils._status import StackStatus
from ansible_collections.crm.continuity.plugins.module_utils._status_facts import Facts
from ansible_collections.crm.continuity.plugins.module_utils._status_rules import CODES, NORMAL
from ansible_collections.crm.continuity.tests.unit.promql import Evaluator, Sample, metrics_of
from ansible_collections.crm.continuity.tests.unit.status_samples import NOW, STACKS, moment, stack

ROOT = Path(__file__).resolve().parents[2]
GROUPS = yaml.safe_load((ROOT / "monitoring" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
DASHBOARD = json.loads((ROOT / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
UNIX = NOW.timestamp()
# The log is proved by reading it, so Prometheus has no rule for an older backup that is damaged: the check has.
ONLY_THE_CHECK = {"an older one is damaged"}


def samples(*texts, host="crm-a", at=UNIX):
    """Return what the node exporter of a host shows of some files."""
    return [
        Sample(sample.name, frozenset({**sample.labels, "instance": host}.items()), sample.value, at)
        for text in texts
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def of_stack(status):
    return render(stack_metrics(status), {"stack": status.stack})


def of_host(percent=41.0, problem=None):
    return render(host_metrics(Facts((), problem, None), judge("/", percent, 100 - percent, 80, 90), UNIX))


def of_timer(began=5, *, next_in=19, result=OK, missed=0, delay=0):
    """Return the metrics of a timer whose last run began so many hours ago, as it left them then."""
    job = SimpleNamespace(name="backup", calendar="*-*-* 02:00:00", delay=delay)
    run = Run(moment(began), Owner(1, 1, ""), ended=moment(began), result=result, missed=missed)
    written = NOW.replace(hour=2) if next_in > 0 else NOW.replace(day=20, hour=2)
    return render(schedule_metrics([(job, State("backup", "1", (run,)))], written))


def ringing(found):
    """Return the alarms that ring, with the labels that they ring for."""
    evaluator = Evaluator(found, UNIX)
    values = {name: evaluator.evaluate(rule["expr"]) for name, rule in RULES.items()}
    return {name: [dict(labels) for labels in vector] for name, vector in values.items() if vector}


def codes(found):
    return sorted({RULES[name]["labels"]["code"] for name in ringing(found)})


def written():
    """Return the names of all metrics that we write."""
    full = replace(stack(), last_uploaded=moment(1))
    engine = render([Metric("crm_backup_engine_up", "Whether it answers.", [({}, 1)])])
    return {sample.name for sample in samples(of_stack(full), of_host(), of_timer(), engine)}


@pytest.mark.parametrize("name", STACKS)
def test_alarms_ring_when_backup_status_finds_a_problem(name):
    status, expected = STACKS[name]

    assert codes(samples(of_stack(status), of_host())) == ([] if name in ONLY_THE_CHECK else sorted(expected))


def test_every_alarm_rings_for_something_and_nothing_rings_for_a_good_host():
    engine = 'crm_backup_engine_up{x="y"} 0\n'
    rung = set()
    for found in (
        *(samples(of_stack(status)) for status, _codes in STACKS.values()),
        samples(of_host(85)),
        samples(of_host(95, "The log was changed.")),
        samples(engine),
        samples(of_timer(next_in=-1)),
        samples(of_timer(result="failed", missed=2)),
        samples(of_host(), at=UNIX - 3600),
        [*samples(of_host()), *samples(of_host().replace('version="', 'version="9'), host="crm-b")],
    ):
        rung |= ringing(found).keys()

    assert rung == RULES.keys()
    assert ringing(samples(of_stack(stack()), of_host(), of_timer(), engine.replace(" 0", " 1"))) == {}


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(79.9, []), (80, ["disk_warning"]), (89.9, ["disk_warning"]), (90, ["disk_critical"]), (100, ["disk_critical"])],
)
def test_the_disk_rings_once(percent, expected):
    assert codes(samples(of_host(percent))) == expected


def test_silence_a_dead_timer_a_missing_upload_and_staleness_are_different_alarms():
    stale, _codes = STACKS["older than a day and two hours"]
    missing, _codes = STACKS["uploaded the day before"]

    assert list(ringing(samples(of_host(), at=UNIX - 3600))) == ["CrmBackupHostSilent"]
    assert list(ringing(samples(of_timer(53, next_in=-1)))) == ["CrmBackupTimerDead"]
    assert list(ringing(samples(of_stack(missing)))) == ["CrmBackupUploadMissing"]
    assert list(ringing(samples(of_stack(stale)))) == ["CrmBackupStale"]


def test_a_timer_that_waits_for_its_random_delay_is_not_dead():
    # Its time was 29 hours ago.
    assert list(ringing(samples(of_timer(29, next_in=-1, delay=3 * 86400)))) == []


def test_a_host_that_is_silent_rings_beside_others_that_are_not():
    found = [*samples(of_host(), host="crm-a"), *samples(of_host(), host="crm-b", at=UNIX - 3600)]

    assert ringing(found) == {"CrmBackupHostSilent": [{"instance": "crm-b"}]}


def test_a_host_that_has_been_gone_for_long_is_forgotten():
    assert ringing(samples(of_host(), at=UNIX - 8 * 86400)) == {}


def test_an_alarm_names_the_stack_it_is_about():
    found = [*samples(of_stack(stack("good"))), *samples(of_stack(StackStatus('ba"d')))]

    assert ringing(found) == {"CrmBackupNever": [{"stack": 'ba"d', "instance": "crm-a"}]}


@pytest.mark.parametrize("name", RULES)
def test_an_alarm_is_about_metrics_that_we_write(name):
    assert metrics_of(RULES[name]["expr"]) <= written()


@pytest.mark.parametrize("name", RULES)
def test_an_alarm_says_what_it_is_and_what_to_do(name):
    rule = RULES[name]
    code = rule["labels"]["code"]

    assert rule["labels"]["severity"] == CODES[code]
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"/docs/monitoring.md#{code}")
    assert rule["annotations"]["description"].endswith(".")
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= {"stack", "instance", "timer"}


@pytest.mark.parametrize("page", ["docs/monitoring.md", "docs/pt-BR/monitoring.md"])
def test_the_documentation_explains_every_code_and_every_metric(page):
    text = (ROOT / page).read_text(encoding="utf-8")

    assert set(re.findall(r'^<a id="(\w+)"></a>', text, re.MULTILINE)) == CODES.keys()
    assert {name for name in written() if f"`{name}" not in text} == set()
    assert {name for name in RULES if name not in text} == set()


def test_the_thresholds_are_those_of_backup_status():
    text = "\n".join(rule["expr"] for rule in RULES.values())

    for words in (
        f"{NORMAL.max_age_hours} * 3600",
        f"< {NORMAL.min_bytes} ",
        f"{NORMAL.max_unverified_days} * 86400",
        f"{NORMAL.max_undrilled_days} * 86400",
        f"uploaded_timestamp_seconds > {NORMAL.max_unuploaded_hours} * 3600",
        f"percent >= {NORMAL.disk_warn} ",
        f"percent >= {NORMAL.disk_critical}",
        f"freeze_seconds > {NORMAL.max_freeze_seconds}",
        f"time() > {NORMAL.max_clock_skew}",
    ):
        assert words in text


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions(panel):
    return [target["expr"] for target in panel["targets"]]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_is_about_metrics_that_we_write(panel):
    assert expressions(panel)
    for expression in expressions(panel):
        assert metrics_of(expression)
        assert metrics_of(expression) <= written()
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${source}"}
    assert panel["description"].endswith(".")


@pytest.mark.parametrize("name", STACKS)
def test_the_dashboard_counts_a_stack_as_stale_when_it_cannot_be_restored_to_today(name):
    status, codes_of_it = STACKS[name]
    (panel,) = (one for one in panels() if one["title"] == "Stale")
    (expression,) = (re.sub(r"\{[^}]*\}", "", one) for one in expressions(panel))

    counted = Evaluator(samples(of_stack(status), of_host()), UNIX).evaluate(expression)

    assert list(counted.values()) == ([1] if {"stale", "never"} & set(codes_of_it) else [])


def test_every_metric_is_on_the_dashboard_or_in_an_alarm():
    shown = {name for panel in panels() for expression in expressions(panel) for name in metrics_of(expression)}
    rung = {name for rule in RULES.values() for name in metrics_of(rule["expr"])}
    # They add nothing to what is shown.
    left = {
        "crm_backup_cut_timestamp_seconds",
        "crm_backup_disk_total_bytes",
        "crm_backup_finished_timestamp_seconds",
        "crm_backup_last_attempt_duration_seconds",
        "crm_backup_last_attempt_timestamp_seconds",
        "crm_backup_schedule_last_run_timestamp_seconds",
        "crm_backup_schedule_last_success_timestamp_seconds",
        "crm_backup_stacks",
        "crm_backup_verified_to_timestamp_seconds",
    }

    assert written() - shown - rung - left == set()


def test_panels_do_not_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = SimpleNamespace(**panel["gridPos"])
        cells = {(x, y) for x in range(place.x, place.x + place.w) for y in range(place.y, place.y + place.h)}
        assert not cells & taken
        assert place.x + place.w <= 24
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_dashboard_works_with_any_source():
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"])))

    assert used - {"__all"} == variables == {"source", "instance", "stack"}
    assert "__inputs" not in DASHBOARD


def test_rules_that_prometheus_refuses_are_refused_here():
    with pytest.raises(ValueError, match="parenthesis"):
        Evaluator([], 0).evaluate("max(crm_backup_info")
