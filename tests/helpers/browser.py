"""A headless Chromium, driven over chromedriver's own protocol (W3C WebDriver, JSON over HTTP)."""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import cv2
import numpy as np

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no network
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element, by the standard


def missing():
    """What a browser would need and is not there, or an empty string."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    absent = [
        name for name, at in (("chromium", chromium), ("chromedriver", driver())) if at is None
    ]
    return " and ".join(absent)


def driver():
    return shutil.which("chromedriver")


class Browser:
    def __init__(self, address, size):
        self.address = address
        options = {
            "binary": shutil.which("chromium") or shutil.which("chromium-browser"),
            "args": [*FLAGS, f"--window-size={size[0]},{size[1]}"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        body = {"capabilities": {"alwaysMatch": wanted}}
        self.session = self._call("POST", "/session", body)["sessionId"]

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def _ask(self, path, body=None):
        method = "GET" if body is None else "POST"
        return self._call(method, f"/session/{self.session}{path}", body)

    def open(self, path):
        self._ask("/url", {"url": path.resolve().as_uri()})

    def run(self, script):
        """What a piece of JavaScript returns."""
        return self._ask("/execute/sync", {"script": script, "args": []})

    def until(self, script, seconds=30.0):
        """Wait until a piece of JavaScript returns something true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"not true in {seconds} s: {script}"
            time.sleep(0.05)

    def _find(self, selector):
        found = self._ask("/element", {"using": "css selector", "value": selector})
        return f"/element/{found[ELEMENT]}"

    def click(self, selector):
        self._ask(f"{self._find(selector)}/click", {})

    def key(self, key):
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._ask("/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def drag(self, selector, way):
        """Press the left button in the middle of an element, and move by (x, y) pixels."""
        origin = self._ask("/element", {"using": "css selector", "value": selector})
        steps = [
            {"type": "pointerMove", "origin": origin, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "origin": "pointer", "x": way[0], "y": way[1]},
            {"type": "pointerUp", "button": 0},
        ]
        self._ask("/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": steps}]})

    def picture(self, selector=None):
        """The page or an element as pixels (h, w, 3), at the third try at the latest: chromedriver
        gives each 10 seconds, which are few on a machine with much else to do."""
        place = "" if selector is None else self._find(selector)
        for last in (False, False, True):
            try:
                png = base64.b64decode(self._ask(f"{place}/screenshot"))
                break
            except RuntimeError as error:
                if last or "imed out" not in str(error):
                    raise
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)

    def console(self):
        """What the page has written to its console since the last call: (level, message)."""
        entries = self._ask("/se/log", {"type": "browser"})
        return [(entry["level"], entry["message"]) for entry in entries]

    def close(self):
        self._call("DELETE", f"/session/{self.session}")


@contextmanager
def browsing(size=(900, 700)):
    command = [driver(), "--port=0", "--log-level=SEVERE"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = None
        while port is None:
            line = process.stdout.readline()
            assert line, "chromedriver ended before it listened"
            if "on port" in line and not line.startswith("Starting"):
                port = int(line.rstrip().rstrip(".").split()[-1])
        browser = Browser(f"http://127.0.0.1:{port}", size)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        process.wait()
