# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell people what is wrong with the backups of the hosts of a play; all of it happens on the control node."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import asdict
from datetime import datetime, timedelta, timezone

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._errors import ContinuityError, StoreError
from ..plugin_utils import _notify_delivery as delivery
from ..plugin_utils import _notify_memory as memory
from ..plugin_utils._digest import ALWAYS, CRITICAL, EVENTS, RECOVERED, WARNING, Decision, decide, lately
from ..plugin_utils._digest_text import LANGUAGES, compose, compose_standing, compose_test
from ..plugin_utils._report_status import answer

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..plugin_utils._digest import Memory
    from ..plugin_utils._digest_text import Letter

START, FINISH, TEST = "start", "finish", "test"
# One e-mail with more than that comes back.
ATTACHMENT_LIMIT = 15_000_000
# How many times the time for receivers another run may take for its turn.
TURNS = 4
OPTIONS = {
    "state": {"type": "str", "choices": [START, FINISH, TEST], "default": FINISH},
    # Of no type and not checked here: a message about a wrong one would quote it.
    "urls": {"type": "raw", "no_log": True},
    "ping_url": {"type": "raw", "no_log": True},
    "ping_fail_on": {"type": "str", "choices": [WARNING, CRITICAL], "default": CRITICAL},
    "events": {
        "type": "list",
        "elements": "str",
        "choices": list(EVENTS),
        "default": ["failure", "anomaly", "stale", "recovery"],
    },
    "language": {"type": "str", "choices": list(LANGUAGES), "default": "en"},
    "subject_prefix": {"type": "str", "default": "[crm]"},
    "max_length": {"type": "int", "default": 3500},
    "repeat_hours": {"type": "float", "default": 24.0},
    "interval_minutes": {"type": "float", "default": 0.0},
    "attach": {"type": "str", "default": ""},
    "memory": {"type": "str", "default": "~/.local/state/crm.continuity/notify.json"},
    "timeout": {"type": "int", "default": 30},
    "strict": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Makes one digest of the status of all hosts, sends it, and remembers what it told."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Do what the state says."""
        result = super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(argument_spec=OPTIONS)
        try:
            urls = delivery.split_urls(given["urls"])
            ping_url = " ".join(delivery.split_urls(given["ping_url"]))
        except ContinuityError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        run = Run(given, urls, ping_url, sends=not self._task.check_mode)
        if given["state"] == START:
            outcome = run.start()
        elif given["state"] == TEST:
            outcome = run.test()
        else:
            statuses, others = _statuses(task_vars or {})
            outcome = run.finish(statuses)
            if others:
                run.warn(
                    f"The settings of the first host count, and {', '.join(others[:5])} and perhaps others have "
                    "another crm_notify. To tell several teams, run crm.continuity.notify once for each, with --limit."
                )
        result.update(outcome, warnings=run.warnings)
        if outcome["undelivered"] and given["strict"]:
            result.update(failed=True, msg=" ".join(_sentences(outcome["undelivered"])))
        return result


class Run:
    """One notification: what is to be said is given; who did not hear it becomes a warning."""

    def __init__(self, given: Mapping[str, t.Any], urls: list[str], ping_url: str, *, sends: bool) -> None:
        self._given = given
        self._urls = urls
        self._ping_url = ping_url
        self._sends = sends
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Note something that did not work and that stops nothing."""
        self.warnings.append(text)

    def start(self) -> dict[str, t.Any]:
        """Tell the monitor that a run begins."""
        return self._outcome(None, sent=False, undelivered=self._ping("start", ""))

    def test(self) -> dict[str, t.Any]:
        """Send a test to all receivers, and to the monitor as what is neither success nor failure."""
        letter = compose_test(self._given["language"], self._given["subject_prefix"])
        undelivered = self._deliver(letter)
        sent = len(undelivered) < len(self._urls)
        return self._outcome(letter, sent=sent, undelivered=undelivered + self._ping("log", letter.text))

    def finish(self, statuses: Mapping[str, object]) -> dict[str, t.Any]:
        """Tell what is worth telling, and the monitor how the fleet stands."""
        events = self._given["events"]
        repeat = timedelta(hours=self._given["repeat_hours"])
        wait = timedelta(minutes=self._given["interval_minutes"])
        with self._alone():
            now = datetime.now(timezone.utc)
            known = self._recall()
            decision = decide(statuses, known, now, events=events, repeat=repeat)
            letter = self._compose(compose, decision)
            too_soon = bool(known and known.sent and lately(known.sent, now, wait))
            wanted = bool(decision.news) or ALWAYS in events
            due = wanted and not too_soon and bool(self._urls)
            undelivered = self._deliver(letter) if due else []
            sent = due and len(undelivered) < len(self._urls)
            # What nobody has heard is not remembered as told. Where nobody is to hear, nothing waits for being told.
            self._remember(decision.delivered if sent or not self._urls else decision.undelivered)
        standing = self._compose(compose_standing, decision)
        bad = decision.counts[CRITICAL] + (decision.counts[WARNING] if self._given["ping_fail_on"] == WARNING else 0)
        undelivered += self._ping("fail" if bad else "", f"{standing.subject}\n\n{standing.text}")
        return self._outcome(letter, sent=sent, undelivered=undelivered, decision=decision, known=known is not None)

    def _compose(self, how: t.Callable[[Decision, str, str, int], Letter], decision: Decision) -> Letter:
        given = self._given
        return how(decision, given["language"], given["subject_prefix"], given["max_length"])

    def _deliver(self, letter: Letter) -> list[delivery.Undelivered]:
        if not (self._sends and self._urls):
            return []
        return delivery.deliver(letter, self._urls, timeout=self._given["timeout"], attach=self._attachment())

    def _ping(self, signal: str, text: str) -> list[delivery.Undelivered]:
        if not (self._sends and self._ping_url):
            return []
        failed = delivery.ping(self._ping_url, signal, text, timeout=self._given["timeout"])
        return [failed] if failed else []

    def _attachment(self) -> str | None:
        if not self._given["attach"]:
            return None
        path: str = os.path.abspath(os.path.expanduser(self._given["attach"]))
        try:
            size = os.stat(path).st_size
        except OSError as exc:
            self.warn(f"{path} is not attached: {exc.strerror}.")
            return None
        if not os.path.isfile(path) or size > ATTACHMENT_LIMIT:
            self.warn(f"{path} is not attached: it is no file of at most {ATTACHMENT_LIMIT // 1_000_000} MB.")
            return None
        return path

    @property
    def _memory_path(self) -> str:
        path: str = self._given["memory"]
        return os.path.abspath(os.path.expanduser(path)) if path else ""

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Take turns with other runs of the same memory, such as that of another team."""
        if not (self._memory_path and self._sends):
            yield
            return
        with memory.alone(self._memory_path, TURNS * self._given["timeout"]) as alone:
            if not alone:
                self.warn(
                    f"Another run has been using {self._memory_path} for {TURNS * self._given['timeout']} seconds. "
                    "Both may tell the same. See what it waits for."
                )
            yield

    def _recall(self) -> Memory | None:
        try:
            return memory.recall(self._memory_path) if self._memory_path else None
        except StoreError as exc:
            self.warn(f"What was told before is not known, so everything is told again. {exc}")
            return None

    def _remember(self, what: Memory) -> None:
        if not (self._memory_path and self._sends):
            return
        try:
            memory.remember(self._memory_path, what)
        except StoreError as exc:
            self.warn(f"What was told now will be told again by the next run. {exc}")

    def _outcome(
        self,
        letter: Letter | None,
        *,
        sent: bool,
        undelivered: list[delivery.Undelivered],
        decision: Decision | None = None,
        known: bool = False,
    ) -> dict[str, t.Any]:
        described = [asdict(one) for one in undelivered]
        for sentence in _sentences(described):
            self.warn(sentence)
        news = decision.news if decision else ()
        return {
            "changed": sent,
            "sent": sent and self._sends,
            "receivers": len(self._urls),
            "undelivered": described,
            "subject": letter.subject if letter else "",
            "text": letter.text if letter else "",
            "news": {
                severity: sum(item.severity == severity for item in news) for severity in (CRITICAL, WARNING, RECOVERED)
            },
            "unchanged": decision.unchanged if decision else 0,
            "hosts": dict(decision.counts) if decision else {},
            "remembered": known,
        }


def _sentences(undelivered: list[dict[str, t.Any]]) -> list[str]:
    return [f"A notification was not delivered: {one['receiver']} {one['reason']}." for one in undelivered]


def _statuses(task_vars: Mapping[str, t.Any]) -> tuple[dict[str, object], list[str]]:
    """Return the status of every host of the play, and the hosts whose settings are others than those of the first."""
    hosts = [str(host) for host in task_vars.get("ansible_play_hosts_all") or ()]
    hostvars = task_vars["hostvars"]
    statuses = {host: answer(hostvars, host, "status_result") for host in hosts}
    if not any(statuses.values()):
        raise AnsibleActionFail(
            "No host of this play has a status_result. Run the role crm.continuity.status first, as the role "
            "crm.continuity.notify does."
        )
    # As they stand in the inventory: there is no need to decrypt them all.
    settings = [repr(hostvars.raw_get(host).get("crm_notify")) for host in hosts]
    return statuses, [host for host, own in zip(hosts, settings, strict=True) if own != settings[0]]
