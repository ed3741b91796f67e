# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A headless Chromium, and reports for it to show. `make browser` installs it and runs these tests."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from ansible_collections.crm.continuity.plugins.plugin_utils._report import Request, apply, plan
from ansible_collections.crm.continuity.tests.unit import report_samples as samples

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """The browser, in the words of the tests."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1440, height=1000):
        self.size(width, height)
        self.driver.get(Path(path).as_uri())

    def size(self, width, height):
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def tell(self, command, **arguments):
        """Give a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def keys(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def texts(self, selector):
        """Return the text of each element that is shown."""
        script = (
            "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility()).map(e => e.innerText)"
        )
        return self.run(script, selector)

    def focused(self):
        return self.run("return document.activeElement.textContent || document.activeElement.id")

    def shot(self, name):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def complaints(self):
        """Return what stands in the console since the last time it was asked for."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def loaded(self):
        """Return what was asked of any network since the last time, but for the pages themselves."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not (urlsplit(url).scheme == "file" and url.endswith("/report.html"))]


@pytest.fixture(scope="session")
def driver():
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    helper = shutil.which("chromedriver")
    assert program, "There is no Chromium here. Run make browser."
    assert helper, "There is no chromedriver here. Run make browser."
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in (
        "--headless=new",
        "--lang=en-US",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        # Its sandbox needs a user that is not root.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    found = webdriver.Chrome(options=options, service=Service(helper))
    yield found
    found.quit()


@pytest.fixture
def browser(driver):
    """Return a browser that remembers nothing of the test before; a page that complains fails the test."""
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get_log("performance")
    shown = Browser(driver)
    yield shown
    shown.tell("Emulation.setScriptExecutionDisabled", value=False)
    shown.tell("Emulation.setEmulatedMedia", media="", features=[])
    assert shown.complaints() == []
    assert shown.loaded() == []
    shown.run("localStorage.clear()")


def write(directory, statuses, **settings):
    request = Request(str(directory), statuses, samples.AT, samples.ZONE, **settings)
    apply(request, plan(request))
    return directory / "report.html"


@pytest.fixture(scope="session")
def five(tmp_path_factory):
    """Return the page of a small fleet, with a report of the day before to compare with."""
    directory = tmp_path_factory.mktemp("five")
    calm = {**samples.five(), "crm-3": samples.five()["crm-2"], "crm-4": samples.unreachable()}
    request = Request(str(directory), calm, samples.ago(days=1), samples.ZONE)
    apply(request, plan(request))
    return write(directory, samples.five())


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """Return the page of a thousand servers with two stacks each."""
    return write(tmp_path_factory.mktemp("many"), samples.many())


@pytest.fixture
def page(tmp_path):
    """Return a function that writes a page of these hosts."""

    def made(statuses, **settings):
        return write(tmp_path, statuses, **settings)

    return made
