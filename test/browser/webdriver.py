"""A tiny W3C WebDriver client for Chromium: standard library only."""
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64decode

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key the W3C specification gives to element references
CHROMIUM_ARGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]
KEYS = {
    "TAB": "\ue004", "ENTER": "\ue007", "ESCAPE": "\ue00c", "SPACE": " ", "LEFT": "\ue012", "UP": "\ue013",
    "RIGHT": "\ue014", "DOWN": "\ue015", "HOME": "\ue011", "END": "\ue010", "SHIFT": "\ue008", "BACKSPACE": "\ue003",
}


class WebDriverError(Exception):
    """What chromedriver answered instead of a value."""


class Browser:
    """One chromedriver process with one Chromium session; usable as a context manager."""

    def __init__(self, chromedriver="/usr/bin/chromedriver", chromium="/usr/bin/chromium", args=(), width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="gallery-profile-")
        self.session = None
        # --port=0 lets chromedriver choose a free port, which it then prints.
        self.driver = subprocess.Popen([chromedriver, "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        try:
            self.base = self._wait_for_port()
            value = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"binary": chromium,
                                       "args": [*CHROMIUM_ARGS, f"--user-data-dir={self.profile}", *args]},
            }}})
            self.session = value["sessionId"]
            self.size(width, height)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _wait_for_port(self):
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                return f"http://127.0.0.1:{found.group(1)}"
        raise WebDriverError("chromedriver ended without naming its port")

    def _call(self, method, path, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        # No proxy from the environment may come between us and our own chromedriver.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise WebDriverError(f"{value.get('error')}: {value.get('message')}") from None

    def call(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def execute(self, js, *args):
        """Runs js as a function body: use `return`; a returned promise is awaited."""
        return self.call("POST", "/execute/sync", {"script": js, "args": list(args)})

    def find(self, css):
        return self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click")

    def keys(self, text):
        """Types into whatever has the focus. Names such as "{TAB}" stand for special keys."""
        actions = []
        for part in re.findall(r"\{[A-Z]+\}|.", text, re.S):
            key = KEYS[part[1:-1]] if len(part) > 1 else part
            actions += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def texts(self, css):
        """The text of every matching element."""
        return self.execute("return [...document.querySelectorAll(arguments[0])].map(node => node.innerText)", css)

    def wait(self, js, *args, seconds=10):
        """Runs js until it gives something true, which is returned."""
        end = time.monotonic() + seconds
        while True:
            value = self.execute(js, *args)
            if value:
                return value
            if time.monotonic() > end:
                raise WebDriverError(f"not true within {seconds} s: {js}")
            time.sleep(0.05)

    def cdp(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def media(self, **features):
        """E.g. media(prefers_color_scheme="dark")."""
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def size(self, width, height):
        """The size of the page itself: a headless window cannot be made as narrow as a phone."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def log(self):
        """Console messages since the last call (errors, refused by the content security policy, ...)."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(b64decode(self.call("GET", "/screenshot")))

    def close(self):
        if self.session:
            try:
                self.call("DELETE", "")
            except (WebDriverError, OSError):
                pass
            self.session = None
        if self.driver.poll() is None:
            self.driver.terminate()
            try:
                self.driver.wait(10)
            except subprocess.TimeoutExpired:
                self.driver.kill()
                self.driver.wait()
        self.driver.stdout.close()
        shutil.rmtree(self.profile, ignore_errors=True)
