# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import json
import threading
from types import SimpleNamespace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._engine import Network
from ansible_collections.crm.continuity.plugins.module_utils._http_check import Request, look
from ansible_collections.crm.continuity.tests.unit.plugins.module_utils.check_fakes import (
    CRM,
    FakeClock,
    FakeEngine,
    container,
    described,
    on_localhost,
    profile,
    question,
)

KEY = "s3cr3t-value"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers what ``server.answers`` holds for a path: a status, a body, headers; or raw bytes that are no HTTP."""

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        answer = self.server.answers.get(self.path, (404, "{}", {}))
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            return
        status, body, headers = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_arguments):
        """Keep the output of the tests quiet."""


@pytest.fixture
def server():
    """An application on the loopback address."""
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as application:
        application.answers = {}
        application.seen = []
        thread = threading.Thread(target=application.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield SimpleNamespace(port=application.server_port, answers=application.answers, seen=application.seen)
        application.shutdown()
        thread.join()


@pytest.fixture
def unused_port():
    """A port on which nothing listens."""
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as application:
        return application.server_port


@pytest.fixture
def engine():
    return FakeEngine(container("web", env={"API_KEY": KEY}, networks=on_localhost()))


def check(engine, *questions, time=None, environment=None, **options):
    time = time or FakeClock()
    options = {"timeout": 0, **options}
    return look(Request(CRM, **options), engine, profile(http=questions, environment=environment), time.clock())


def ok(document, status=200, **headers):
    return (status, json.dumps(document), headers)


def test_the_expected_status_is_enough_where_no_fields_are_asked_for(engine, server):
    server.answers["/up"] = (204, "", {})

    (found,) = check(engine, question(server.port, path="/up", status=(200, 204)))

    assert found.ok
    assert found.check == "the application answers"
    assert found.subject == "web"
    assert found.detail == "GET /up answered 204"


def test_another_status_fails_and_names_both(engine, server):
    server.answers["/"] = (503, "", {})

    (found,) = check(engine, question(server.port))

    assert found.failed
    assert found.detail == "GET / answered 503, expected 200"
    assert found.remedy == "See docker logs --tail 50 crm-web-1."


def test_fields_are_found_by_dotted_paths(engine, server):
    server.answers["/"] = ok({"queue": [{"state": "ok"}], "ready": True})

    (found,) = check(engine, question(server.port, json={"queue.0.state": "ok", "ready": True}))

    assert found.ok
    assert found.detail == "queue.0.state is ok; ready is true"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param({"a": {"b": "failing"}}, "a.b is failing, expected ok", id="another value"),
        pytest.param({"a": {}}, "a.b is missing, expected ok", id="missing"),
        pytest.param({"a": "text"}, "a.b is missing, expected ok", id="missing below a text"),
        pytest.param([], "a.b is missing, expected ok", id="a list"),
        pytest.param({"a": {"b": None}}, "a.b is null, expected ok", id="null"),
        pytest.param({"a": {"b": KEY}}, "a.b is ***, expected ok", id="a secret"),
    ],
)
def test_a_field_that_differs_fails_and_names_expected_and_found(engine, server, document, words):
    server.answers["/"] = ok(document)

    (found,) = check(engine, question(server.port, json={"a.b": "ok"}))

    assert found.failed
    assert found.detail == f"GET / answered 200, but {words}"


@pytest.mark.parametrize(("found_value", "expected"), [(1, True), (True, 1), ("1", 1), (1, "1")])
def test_values_of_another_type_differ(engine, server, found_value, expected):
    server.answers["/"] = ok({"a": found_value})

    (found,) = check(engine, question(server.port, json={"a": expected}))

    assert found.failed
    is_, _middle, wanted = found.detail.partition("a is ")[2].partition(", expected ")
    assert is_ != wanted


def test_a_body_that_is_not_json_fails(engine, server):
    server.answers["/"] = (200, "<html>", {})

    (found,) = check(engine, question(server.port, json={"a": 1}))

    assert found.failed
    assert found.detail == "GET / answered 200, but not with JSON"


def test_a_redirect_is_not_followed(engine, server):
    server.answers["/"] = (302, "", {"Location": "/elsewhere"})

    (found,) = check(engine, question(server.port))

    assert found.failed
    assert [path for path, _headers in server.seen] == ["/"]


def test_a_redirect_that_is_expected_is_well(engine, server):
    server.answers["/"] = (302, "", {"Location": "/elsewhere"})

    (found,) = check(engine, question(server.port, status=(302,)))

    assert found.ok


def test_no_proxy_is_used(engine, server, unused_port, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    server.answers["/"] = ok({})

    (found,) = check(engine, question(server.port))

    assert found.ok


def test_the_application_is_told_that_tls_ends_before_it(engine, server):
    server.answers["/"] = ok({})

    check(engine, question(server.port))

    assert server.seen[0][1]["X-Forwarded-Proto"] == "https"


# Headers


def test_headers_come_from_the_environment_of_the_container(engine, server):
    server.answers["/"] = ok({})

    check(engine, question(server.port, headers={"apikey": "API_KEY"}))

    assert server.seen[0][1]["apikey"] == KEY


def test_what_the_container_does_not_set_comes_from_the_profile(engine, server):
    server.answers["/"] = ok({})

    check(engine, question(server.port, headers={"apikey": "OTHER_KEY"}), environment={"OTHER_KEY": "assumed"})

    assert server.seen[0][1]["apikey"] == "assumed"


def test_a_header_that_nothing_sets_fails_and_nothing_is_sent(engine, server):
    time = FakeClock()

    (found,) = check(engine, question(server.port, headers={"apikey": "OTHER_KEY"}), time=time, timeout=60)

    assert found.failed
    assert "does not set OTHER_KEY" in found.detail
    assert server.seen == []
    assert time.passed == 0


@pytest.mark.parametrize("value", [f"{KEY}\r\nX-Evil: 1", f"{KEY}é"])
def test_a_header_that_cannot_be_sent_fails_without_its_value(engine, server, value):
    engine.change("crm-web-1", env={"API_KEY": value})

    (found,) = check(engine, question(server.port, headers={"apikey": "API_KEY"}))

    assert found.failed
    assert KEY not in found.detail + found.remedy
    assert server.seen == []


def test_a_key_that_is_refused_is_named_but_not_shown(engine, server):
    server.answers["/"] = (401, json.dumps({"message": f"{KEY} is wrong"}), {})

    (found,) = check(engine, question(server.port, headers={"apikey": "API_KEY"}))

    assert found.failed
    assert found.remedy.startswith("Compare API_KEY in its environment")
    assert KEY not in found.detail + found.remedy


def test_a_header_whose_name_cannot_be_sent_fails_without_its_value(engine, server):
    (found,) = check(engine, question(server.port, headers={"api key\n": "API_KEY"}))

    assert found.failed
    assert found.detail.endswith("was not answered: the request cannot be sent")
    assert KEY not in found.detail + found.remedy


# One question for each object


EACH = {
    "name": "every instance is connected",
    "path": "/state/{value}",
    "each_path": "/instances",
    "each_field": "name",
    "json": {"instance.state": "open"},
}


def test_every_object_of_a_list_is_asked_about(engine, server):
    server.answers["/instances"] = ok([{"name": "sales"}, {"name": "a/b ç"}])
    server.answers["/state/sales"] = ok({"instance": {"state": "close"}})
    server.answers["/state/a%2Fb%20%C3%A7"] = ok({"instance": {"state": "open"}})

    sales, other = check(engine, question(server.port, **EACH))

    assert (sales.subject, sales.failed) == ("web: sales", True)
    assert sales.detail == "GET /state/sales answered 200, but instance.state is close, expected open"
    assert (other.subject, other.ok) == ("web: a/b ç", True)


def test_an_empty_list_is_a_warning(engine, server):
    server.answers["/instances"] = ok([])

    (found,) = check(engine, question(server.port, **EACH))

    assert not found.ok
    assert not found.failed
    assert found.detail == "GET /instances lists nothing"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"error": "no"}, id="no list"),
        pytest.param([{"id": 1}], id="without the field"),
        pytest.param([{"name": {"deep": 1}}], id="with an object for a field"),
        pytest.param(["sales"], id="of texts"),
    ],
)
def test_a_list_of_something_else_fails(engine, server, document):
    server.answers["/instances"] = ok(document)

    (found,) = check(engine, question(server.port, **EACH))

    assert found.failed
    assert found.detail == "GET /instances does not list objects that have name"


def test_a_list_that_is_refused_fails(engine, server):
    server.answers["/instances"] = ok({}, 500)

    (found,) = check(engine, question(server.port, **EACH))

    assert found.failed
    assert found.detail == "GET /instances answered 500, expected 200"


# Where the container is, and whether it is there


def test_a_port_on_which_nothing_listens_fails_with_the_address(engine, unused_port):
    (found,) = check(engine, question(unused_port))

    assert found.failed
    assert found.detail == f"GET http://127.0.0.1:{unused_port}/ was not answered: Connection refused"


def test_an_answer_that_is_not_http_fails_without_showing_it(engine, server):
    server.answers["/"] = f"{KEY}\r\n\r\n".encode()

    (found,) = check(engine, question(server.port))

    assert found.failed
    assert found.detail.endswith("was not answered: the answer was not HTTP")


def test_a_published_port_serves_where_the_network_cannot_be_reached(engine, server, unused_port):
    engine.raw["crm-web-1"] = described(ports={f"{unused_port}/tcp": [{"HostIp": "0.0.0.0", "HostPort": server.port}]})
    server.answers["/"] = ok({})

    (found,) = check(engine, question(unused_port))

    assert found.ok


def test_a_container_on_the_network_of_the_host_is_found(engine, server):
    engine.change("crm-web-1", networks=(Network("host", ""),))
    engine.raw["crm-web-1"] = described(network="host")
    server.answers["/"] = ok({})

    (found,) = check(engine, question(server.port))

    assert found.ok


def test_a_container_on_the_network_of_another_is_found(engine, server):
    engine.by_name["vpn"] = container("vpn", "example/vpn:1", name="vpn", networks=on_localhost())
    engine.raw["vpn"] = described()
    engine.change("crm-web-1", networks=())
    engine.raw["crm-web-1"] = described(network="container:vpn")
    server.answers["/"] = ok({})

    (found,) = check(engine, question(server.port))

    assert found.ok


def test_a_container_without_an_address_fails(engine, server):
    engine.change("crm-web-1", networks=())

    (found,) = check(engine, question(server.port))

    assert found.failed
    assert found.detail == "its container has no address on any network"


def test_a_stopped_container_fails_at_once_with_a_remedy(engine, server):
    time = FakeClock()
    engine.end("crm-web-1", 1)

    (found,) = check(engine, question(server.port), time=time, timeout=60)

    assert found.failed
    assert found.detail == "its container does not run"
    assert found.remedy == "Run docker start crm-web-1."
    assert time.passed == 0


def test_a_container_that_has_finished_its_work_is_not_asked(engine, server):
    engine.by_name["crm-base-1"] = container("base")
    engine.raw["crm-base-1"] = described(restart="no")
    engine.end("crm-base-1")
    server.answers["/"] = ok({})

    assert [entry.subject for entry in check(engine, question(server.port))] == ["web"]


# Time


def test_an_answer_that_gets_better_is_waited_for(engine, server):
    server.answers["/"] = ok({"state": "connecting"})
    time = FakeClock({10: lambda: server.answers.update({"/": ok({"state": "open"})})})

    (found,) = check(engine, question(server.port, json={"state": "open"}), time=time, timeout=60)

    assert found.ok
    assert time.passed == 10


def test_what_is_answered_well_is_not_asked_again(engine, server):
    server.answers["/good"] = ok({})
    server.answers["/bad"] = ok({}, 500)

    good, bad = check(
        engine, question(server.port, path="/good"), question(server.port, path="/bad"), time=FakeClock(), timeout=6
    )

    assert good.ok
    assert bad.failed
    assert [path for path, _headers in server.seen].count("/good") == 1
    assert [path for path, _headers in server.seen].count("/bad") == 4


def test_a_paused_container_is_waited_for(engine, server):
    server.answers["/"] = ok({})
    engine.change("crm-web-1", state="paused")
    time = FakeClock({2: lambda: engine.change("crm-web-1", state="running")})

    (found,) = check(engine, question(server.port), time=time, timeout=60)

    assert found.ok


def test_an_application_that_hangs_is_given_up(engine):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as silent:
        # Nobody accepts: the connection stays in the queue.
        (found,) = check(engine, question(silent.server_port), request_timeout=0.05)

    assert found.failed
    assert found.detail.endswith("was not answered: it took too long")
