"""A headless Chromium, driven over its debugging pipe: pages opened, scripts run in them, keys pressed, pictures taken."""
import base64
import json
import os
import shutil
import subprocess
import threading

from servers import ServerError, wait_until


class Browser:
    """One Chromium with one page. width, height: of its window in CSS pixels."""

    def __init__(self, base, width=1280, height=900):
        self.program = shutil.which("chromium")
        if self.program is None:
            raise ServerError("chromium is not installed: run deploy/deps --test")
        to_child, self.write_end = os.pipe()
        self.read_end, from_child = os.pipe()
        self.process = subprocess.Popen(
            ["bash", "-c", 'exec 3<&%d 4>&%d; exec "$@"' % (to_child, from_child), "bash", self.program, "--headless=new",
             "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
             "--remote-debugging-pipe", "--user-data-dir=" + os.path.join(base, "chromium"), "about:blank"],
            pass_fds=(to_child, from_child), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=base))
        os.close(to_child)
        os.close(from_child)
        self.number, self.answers, self.problems, self.session = 0, {}, [], None
        self.news = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        pages = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.resize(width, height)

    def _read(self):
        rest = b""
        while True:
            data = os.read(self.read_end, 1 << 16)
            if not data:
                return
            *messages, rest = (rest + data).split(b"\0")
            for m in messages:
                self._take(json.loads(m))

    def _take(self, m):
        with self.news:
            if "id" in m:
                self.answers[m["id"]] = m
            elif m["method"] == "Runtime.exceptionThrown":
                self.problems.append(json.dumps(m["params"]["exceptionDetails"])[:2000])
            elif m["method"] == "Runtime.consoleAPICalled" and m["params"]["type"] in ("error", "warning", "assert"):
                self.problems.append(json.dumps(m["params"]["args"])[:2000])
            elif m["method"] == "Log.entryAdded" and m["params"]["entry"]["level"] == "error":
                self.problems.append(json.dumps(m["params"]["entry"])[:2000])
            elif m["method"] == "Network.requestWillBeSent":
                self.requested.append(m["params"]["request"]["url"])
            self.news.notify_all()

    requested = []

    def call(self, method, **params):
        with self.news:
            self.number += 1
            number = self.number
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        with self.news:
            if not self.news.wait_for(lambda: number in self.answers, 60):
                raise ServerError("chromium does not answer to " + method)
            answer = self.answers.pop(number)
        if "error" in answer:
            raise ServerError("%s: %s" % (method, answer["error"]))
        return answer["result"]

    def resize(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def dark(self, on):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def open(self, url):
        self.requested = []
        self.call("Page.navigate", url=url)
        wait_until("the page", lambda: self.run("document.readyState") == "complete", 30)

    def run(self, script):
        """What the expression gives; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, json.dumps(answer["exceptionDetails"])[:2000]
        return answer["result"].get("value")

    def wait(self, script, seconds=30):
        try:
            return wait_until(script, lambda: self.run("(v => v instanceof Node ? true : v)(%s)" % script), seconds, 0.1)
        except ServerError as e:
            raise ServerError("%s\n%s" % (e, "\n".join(self.problems))) from None

    def key(self, key, code=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path, whole=False):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.write_end)
