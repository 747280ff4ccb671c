"""A real browser: headless Chromium, without a network, and what it shows."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests import needed

WIDTH, HEIGHT = 1360, 900
OPTIONS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
    f"--window-size={WIDTH},{HEIGHT}",
)


class Browser:
    """Pages of reports, as they are shown."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        """Load a page and wait until its charts are drawn. What was logged before is forgotten."""
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page.resolve().as_uri())
        self.wait()

    def wait(self) -> None:
        drawn = "return document.readyState === 'complete' && (!document.getElementById('figures') || "
        drawn += "document.documentElement.classList.contains('drawn'))"
        WebDriverWait(self.driver, 20).until(lambda d: d.execute_script(drawn))

    def said(self) -> list[dict[str, Any]]:
        """What the console was told since the page was opened: warnings and errors."""
        return self.driver.get_log("browser")

    def asked(self) -> list[str]:
        """Addresses that the page has asked for."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        (found,) = self.all(selector)
        return found

    def text(self) -> str:
        """All that is shown."""
        return self.one("body").text

    def run(self, script: str, *given: object) -> Any:
        return self.driver.execute_script(script, *given)

    def first_paint(self) -> float:
        """Milliseconds from the begin of the page's loading until something was seen."""
        script = "return performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)[0]"
        return float(WebDriverWait(self.driver, 20).until(lambda d: d.execute_script(script)))

    def marks(self, chart: str) -> list[str]:
        """What each mark of a chart says of itself."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.getAttribute('aria-label'))"
        return self.run(script, f"#{chart} svg .mark-rect path[aria-label]")

    def colour(self, selector: str, of: str = "color") -> str:
        return self.run("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, of)

    @contextmanager
    def media(self, **features: str) -> Iterator[None]:
        """As if the user preferred something, `media="print"` being paper."""
        kind = features.pop("media", "")
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": given})
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})

    def picture(self, path: Path, selector: str | None = None, most: int = 1600) -> None:
        """A picture of the page, or of what is between the top and the bottom of elements."""
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most), "scale": 1}
        if selector:
            box = self.run("const r = document.querySelector(arguments[0]).getBoundingClientRect();"
                           "return [r.top + scrollY, r.height]", selector)  # fmt: skip
            clip |= {"y": max(0, box[0] - 12), "height": box[1] + 24}
        shot = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        path.write_bytes(base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"]))


@contextmanager
def started() -> Iterator[Browser]:
    """A browser with a profile of its own. Skips the test where there is none, but fails on a machine of CI's."""
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not (chromium and driver):
        needed.missing("no chromium with its chromedriver here; on Debian: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Root has no sandbox to be put in; nothing but pages made here is opened.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        for option in (*OPTIONS, *root, f"--user-data-dir={profile}"):
            options.add_argument(option)
        browser = webdriver.Chrome(options, Service(driver))
        try:
            yield Browser(browser)
        finally:
            browser.quit()
