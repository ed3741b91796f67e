# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sending to real receivers on this machine: what arrives, what does not, and that no address gets out."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import ContinuityError
from ansible_collections.crm.continuity.plugins.plugin_utils import _notify_delivery as delivery
from ansible_collections.crm.continuity.plugins.plugin_utils._digest import CRITICAL
from ansible_collections.crm.continuity.plugins.plugin_utils._digest_text import Letter
from ansible_collections.crm.continuity.tests.unit.receivers import (
    MailReceiver,
    WebReceiver,
    nobody,
    serving,
    silent,
)

LETTER = Letter(
    "[crm] 1 critical: crm-a",
    {
        "text": ("all of the text", "short"),
        "html": ("<p>all of the HTML</p>", "<p>short</p>"),
        "markdown": ("**all**",),
    },
    CRITICAL,
)
TOKEN = "planted7token7that7nobody7may7see"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def web():
    server = WebReceiver()
    with serving(server):
        yield server


@pytest.fixture
def mail():
    server = MailReceiver()
    with serving(server):
        yield server


def deliver(*urls, timeout=20, attach=None):
    return delivery.deliver(LETTER, urls, timeout=timeout, attach=attach)


def test_a_webhook_gets_subject_text_and_kind(web):
    assert deliver(f"json://{web.address}/{TOKEN}") == []

    (posted,) = web.got
    assert posted.path == f"/{TOKEN}"
    assert (posted.json["title"], posted.json["message"]) == (LETTER.subject, "all of the text")
    assert posted.json["type"] == "failure"


def test_mail_arrives_with_its_subject_and_as_html(mail):
    assert deliver(f"mailto://ana:{TOKEN}@{mail.address}?to=ops@example.com&from=crm@example.com&mode=insecure") == []

    (message,) = mail.got
    assert message["Subject"] == LETTER.subject
    assert message["To"] == "ops@example.com"
    body = message.get_body(("html",))
    assert body is not None
    assert "<p>all of the HTML</p>" in body.get_content()


def test_a_file_is_attached_to_mail(mail, tmp_path):
    (tmp_path / "report.html").write_text("<p>the report</p>")

    failed = deliver(
        f"mailto://{mail.address}?to=ops@example.com&from=crm@example.com&mode=insecure",
        attach=str(tmp_path / "report.html"),
    )

    assert failed == []
    (attachment,) = mail.got[0].iter_attachments()
    assert attachment.get_filename() == "report.html"
    assert "<p>the report</p>" in attachment.get_content()


def test_a_receiver_of_short_messages_gets_the_short_version():
    assert delivery_sender()._fitting(["long" * 9, "middle", "s"], 6) == "middle"
    assert delivery_sender()._fitting(["long" * 9, "middle"], 3) == "middle"


def delivery_sender():
    from ansible_collections.crm.continuity.plugins.plugin_utils import _notify_sender

    return _notify_sender


def test_what_one_receiver_refuses_the_others_get(web):
    refusing = WebReceiver()
    refusing.status = 500
    with serving(refusing):
        failed = deliver(f"json://{refusing.address}/{TOKEN}", f"json://{web.address}/", f"json://{nobody()}/{TOKEN}")

    assert [(one.receiver, one.reason) for one in failed] == [
        ("json (address 1)", "answered with HTTP status 500"),
        ("json (address 3)", "could not be reached"),
    ]
    assert len(web.got) == 1


def test_receivers_that_hang_delay_nobody_and_are_given_up(web):
    begun = time.monotonic()
    with silent() as address:
        hanging = [f"json://{address}/{TOKEN}{number}?rto=60" for number in range(3)]
        failed = deliver(*hanging, f"json://{web.address}/", timeout=8)

    assert [one.receiver for one in failed] == [f"json (address {number})" for number in range(1, 4)]
    assert {one.reason for one in failed} == {"did not answer within 8 s"}
    assert len(web.got) == 1
    # One after the other, it would be 24.
    assert time.monotonic() - begun < 20


def test_a_receiver_that_answers_byte_by_byte_is_given_up(web):
    web.drips = True

    failed = deliver(f"json://{web.address}/{TOKEN}", timeout=3)

    assert [one.reason for one in failed] == ["did not answer within 3 s"]


def test_a_redirection_to_another_place_gets_nothing(web):
    other = WebReceiver()
    web.status, web.location = 307, f"http://{other.address}/stolen"
    with serving(other):
        failed = deliver(f"json://{web.address}/{TOKEN}")

    assert [one.receiver for one in failed] == ["json (address 1)"]
    assert other.got == []


@pytest.mark.parametrize(
    "url",
    [
        f"nosuch://{TOKEN}",
        f"slack://{TOKEN}",
        f"{TOKEN}",
        f"json://[{TOKEN}",
        f"mailto://x:{TOKEN}@",
        f"tgram://{TOKEN}",
        "json://127.0.0.1:1/a;b&c=d'\"<>",
    ],
)
def test_an_address_that_cannot_be_used_is_named_by_its_kind_only(url):
    (failed,) = deliver(url)

    assert TOKEN not in f"{failed.receiver} {failed.reason}"
    assert failed.receiver in {
        f"{kind} (address 1)" for kind in ("nosuch", "slack", "unknown", "json", "mailto", "tgram")
    }


def test_what_a_library_says_and_raises_does_not_get_out(tmp_path, monkeypatch, capfd):
    """An Apprise that logs, prints and raises the address."""
    (tmp_path / "apprise.py").write_text(
        "import logging, sys\n"
        "class AppriseAsset:\n    http_redirects = True\n    def __init__(self, **_): pass\n"
        "class Apprise:\n"
        "    def __init__(self, asset): pass\n"
        "    def add(self, url):\n"
        "        print(url); print(url, file=sys.stderr); sys.stderr.flush()\n"
        "        logging.getLogger('apprise').error('Connection error with %s', url)\n"
        "        raise RuntimeError(url)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    failed = deliver(f"json://127.0.0.1/{TOKEN}")

    assert [one.reason for one in failed] == ["could not be tried: RuntimeError"]
    assert TOKEN not in "".join(capfd.readouterr())


def test_an_apprise_that_would_follow_redirections_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "apprise.py").write_text("class AppriseAsset: pass\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    (failed,) = deliver(f"json://127.0.0.1/{TOKEN}")

    assert "too old, install version 2.2 or newer" in failed.reason


def test_a_sender_that_dies_is_undelivered(tmp_path, monkeypatch):
    (tmp_path / "apprise.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    failed = deliver("json://127.0.0.1/")

    assert [one.reason for one in failed] == ["could not be tried: the sender ended with exit code 3"]


def test_a_control_node_without_room_for_a_process_is_told_of(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    failed = delivery.ping(f"https://127.0.0.1/{TOKEN}", "", "x", timeout=20)

    assert failed is not None
    assert failed.reason == "could not be tried: no process can be started (No such file or directory)"


def test_without_apprise_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    failed = deliver("json://127.0.0.1/", "slack://x")

    assert [one.receiver for one in failed] == ["json (address 1)", "slack (address 2)"]
    assert f"{sys.executable} -m pip install apprise" in failed[0].reason


def test_the_address_is_in_no_argument_and_no_environment(monkeypatch):
    seen = []

    def run(argv, **more):
        seen.append((argv, more.get("env"), more["input"]))
        return subprocess.CompletedProcess(argv, 0, b'{"reason": null}')

    monkeypatch.setattr(subprocess, "run", run)

    deliver(f"json://127.0.0.1/{TOKEN}")

    ((argv, env, given),) = seen
    assert TOKEN not in str(argv)
    assert env is None
    assert TOKEN not in str(os.environ)
    assert TOKEN.encode() in given


@pytest.mark.parametrize(
    ("signal", "path"),
    [("", "/ping/uuid?rid=1"), ("start", "/ping/uuid/start?rid=1"), ("fail", "/ping/uuid/fail?rid=1")],
)
def test_a_monitor_is_pinged_with_the_digest(web, signal, path):
    assert delivery.ping(f"http://{web.address}/ping/uuid?rid=1", signal, "Tudo está bem.", timeout=20) is None

    (posted,) = web.got
    assert (posted.path, posted.body) == (path, "Tudo está bem.")


def test_a_monitor_that_answers_otherwise_is_undelivered(web):
    web.status = 404

    failed = delivery.ping(f"http://{web.address}/{TOKEN}", "", "x", timeout=20)

    assert failed == delivery.Undelivered("ping", "answered with HTTP status 404")


def test_a_redirection_of_a_monitor_is_not_followed(web):
    other = WebReceiver()
    web.status, web.location = 302, f"http://{other.address}/"
    with serving(other):
        failed = delivery.ping(f"http://{web.address}/{TOKEN}", "", "x", timeout=20)

    assert failed is not None
    assert "redirection" in failed.reason
    assert other.got == []


def test_a_monitor_out_of_reach_is_tried_twice(monkeypatch):
    tried = []
    monkeypatch.setattr(delivery, "PAUSE", 0)
    real = delivery._send
    monkeypatch.setattr(delivery, "_send", lambda job, timeout: tried.append(job["url"]) or real(job, timeout))

    failed = delivery.ping(f"http://{nobody()}/{TOKEN}", "fail", "x", timeout=20)

    assert failed == delivery.Undelivered("ping", "could not be reached")
    assert len(tried) == 2


def test_a_monitor_that_drips_is_given_up(web):
    web.drips = True

    failed = delivery.ping(f"http://{web.address}/{TOKEN}", "", "x", timeout=2)

    assert failed == delivery.Undelivered("ping", "did not answer within 2 s")


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    import ssl

    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    server = WebReceiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        failed = delivery.ping(f"https://{server.address}/{TOKEN}", "", "x", timeout=20)

    assert failed == delivery.Undelivered("ping", "has a certificate that cannot be verified")
    assert server.got == []


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://127.0.0.1/{TOKEN}",
        f"{TOKEN}",
        f"https://ana:{TOKEN}@127.0.0.1/",
        f"https://[{TOKEN}",
        f"https://127.0.0.1:{TOKEN}/",
        "https:///x",
    ],
)
def test_an_address_of_a_monitor_that_cannot_be_used_is_refused(url):
    failed = delivery.ping(url, "", "x", timeout=20)

    assert failed is not None
    assert failed.reason.startswith("is not the address of a monitor")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(None, [], id="nothing"),
        pytest.param("", [], id="an empty text"),
        pytest.param(" slack://a \n mailto://b?to=c,d ", ["slack://a", "mailto://b?to=c,d"], id="a text"),
        pytest.param(["slack://a", "slack://b slack://a"], ["slack://a", "slack://b"], id="a list"),
    ],
)
def test_addresses_come_as_a_list_or_as_words(given, expected):
    assert delivery.split_urls(given) == expected


@pytest.mark.parametrize("given", [{TOKEN: 1}, [{TOKEN: 1}], 7, [[TOKEN]]])
def test_addresses_of_another_shape_are_refused_without_a_word_of_them(given):
    with pytest.raises(ContinuityError) as caught:
        delivery.split_urls(given)

    assert TOKEN not in str(caught.value)
