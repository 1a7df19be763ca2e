"""Browser: a headless Chromium that is told what to do over a pipe, in its own DevTools protocol.

Nothing is installed for it but Debian's `chromium`. Whatever a page breaks (an error, a refusal of
the Content-Security-Policy) is collected in `complaints`.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S

CHROMIUM = shutil.which("chromium")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio", "--remote-debugging-pipe",
)  # fmt: skip
# Between two pages; 20 ms each.
MOMENTS_MAX = 1_500


class Broken(Exception):
    """The browser, or what runs in it, did not do what it was told."""


class Browser:
    """One page of a fresh browser. Made by `browser`."""

    def __init__(self, to: int, read_from: int) -> None:
        self._to = to
        self._from = read_from
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.complaints: list[str] = []
        self.downloads: list[str] = []
        self._moments = 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> Any:
        """One command; answers its result."""
        self._number += 1
        wish: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            wish["sessionId"] = self._session
        os.write(self._to, json.dumps(wish).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                if "error" in said:
                    raise Broken(f"{method}: {said['error']['message']}")
                return said["result"]
            self._hear(said)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            read = os.read(self._from, 1 << 20)
            if not read:
                raise Broken("the browser is gone")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _hear(self, said: dict[str, Any]) -> None:
        about = said.get("params", {})
        if said.get("method") == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            thrown = details.get("exception", {}).get("description", "")
            self.complaints.append(f"{details['text']} {thrown}")
        elif said.get("method") == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.complaints.append(about["entry"]["text"])
        elif said.get("method") == "Page.downloadWillBegin":
            self.downloads.append(about["suggestedFilename"])
        elif said.get("method") == "Runtime.consoleAPICalled" and about["type"] == "error":
            self.complaints.append(" ".join(str(one.get("value")) for one in about["args"]))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is waited for."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            thrown = done["exceptionDetails"].get("exception", {})
            raise Broken(f"{expression}: {thrown.get('description', thrown)}")
        return done["result"].get("value")

    def until(self, expression: str, timeout_s: float = PATIENCE_S) -> Any:
        """Wait until a JavaScript expression is true; answers its value."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if found := self.evaluate(expression):
                    return found
            except Broken:  # in the midst of a navigation
                continue
        raise Broken(f"waited {timeout_s:.0f} s in vain for {expression}")

    def wait_a_moment(self) -> None:
        """Hear what the page has to tell, for whoever waits for something outside of it."""
        self._moments += 1
        if self._moments > MOMENTS_MAX:
            raise Broken("waited in vain for what a page was to lead to")
        with suppress(Broken):  # in the midst of a navigation
            self.evaluate("new Promise(done => setTimeout(done, 20))")

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self._moments = 0
        self.evaluate("window.staunchOld = true")
        self.call("Page.navigate", url=url)
        self.until("!window.staunchOld && document.readyState === 'complete'")

    def back(self) -> None:
        """As the button: it begins after this has been answered, for it ends the page."""
        self.evaluate("setTimeout(() => history.back(), 0), true")

    def set_cookie(self, url: str, name: str, value: str) -> None:
        """As a login does."""
        self.call(
            "Network.setCookie", url=url, name=name, value=value, httpOnly=True, sameSite="Strict"
        )

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """The window's size and the system's colours."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def without_scripts(self) -> None:
        """As a reader who allows no JavaScript."""
        self.call("Emulation.setScriptExecutionDisabled", value=True)

    def key(self, name: str, code: int) -> None:
        """Press a key; Enter and the space bar as what they type, so that they press buttons."""
        text = {"Enter": "\r", " ": " "}.get(name, "")
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=code,
                text=text if kind == "keyDown" else "",
            )

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page as a picture."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile in this folder; ended at the end."""
    assert CHROMIUM is not None, "tests that need it are skipped where it is absent"
    ours_in, to_browser = os.pipe()
    from_browser, ours_out = os.pipe()
    # The protocol's pipe is descriptors 3 and 4, whatever they were called here.
    line = f'exec "$@" 3<&{ours_in} 4>&{ours_out}'
    command = ["bash", "-c", line, "bash", CHROMIUM, *OPTIONS, f"--user-data-dir={profile}"]
    with (profile.parent / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            command, pass_fds=(ours_in, ours_out), stdout=log, stderr=log, start_new_session=True
        )
    os.close(ours_in)
    os.close(ours_out)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.close(to_browser)
        os.close(from_browser)
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def logged_in(profile: Path, url: str, secret: str) -> Iterator[Browser]:
    """A browser of somebody who has this key; no page may complain meanwhile."""
    with browser(profile) as page:
        page.look()
        page.set_cookie(url, "staunch_token", secret)
        yield page
        assert page.complaints == []
