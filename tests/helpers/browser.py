"""Chromium without a window, told what to do through its DevTools protocol.

By a pipe, which needs no package: https://chromedevtools.github.io/devtools-protocol/.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

from helpers.paths import ROOT

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SECONDS = 300  # of patience, on a machine that does other things too
_FLAGS = (
    "--headless=new", "--no-first-run", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-dev-shm-usage", "--force-color-profile=srgb",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)  # fmt: skip
# The codes of keys, https://www.w3.org/TR/uievents-code/, and what Windows called them.
_KEYS = {
    "Tab": 9,
    "Enter": 13,
    " ": 32,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


class Browser:
    """One tab of Chromium.

    Args:
        folder: pathlib.Path of its profile and downloads.
        camera: a file that its camera shows, .mjpeg.

    Attributes:
        address: of a server of the page; set by who starts it.
        events: all that it has told, in order: {"method", "params"}.
    """

    def __init__(self, folder, camera=None):
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True)
        self.address, self.events = None, []
        self._number, self._buffer, self._taken = 0, b"", set()
        flags = [*_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}"]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        flags += [f"--use-file-for-fake-video-capture={camera}"] if camera else []
        self._process, self._to, self._from = _start([CHROMIUM, *flags, "about:blank"])
        self._session = None
        self.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads),
            eventsEnabled=True,
        )  # fmt: skip
        targets = self.call("Target.getTargets")["targetInfos"]
        (page,) = (target["targetId"] for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def close(self):
        """End it."""
        self._session = None
        self.call("Browser.close")
        os.waitpid(self._process, 0)
        os.close(self._to)
        os.close(self._from)

    def call(self, method, **params):
        """Call a method of the protocol: its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        _write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _read(self):
        """The next message; events are kept."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], SECONDS)
            data = os.read(self._from, 1 << 20) if ready else b""
            assert data, "the browser says nothing more"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def told(self, method):
        """The parameters of all events of a method."""
        return [event["params"] for event in self.events if event["method"] == method]

    def open(self, url):
        """Go to an address and wait until it has loaded."""
        loaded = len(self.told("Page.loadEventFired"))
        self.call("Page.navigate", url=url)
        while len(self.told("Page.loadEventFired")) == loaded:
            self._read()

    def open_page(self):
        """Go to the page, and wait until it can be used."""
        self.open(f"{self.address}/")
        self.wait_for("#message", "Choose a photograph")

    def requests(self):
        """The addresses that the page has asked for."""
        return [params["request"]["url"] for params in self.told("Network.requestWillBeSent")]

    def drag_box(self, box):
        """Drag a box (x, y, width, height), px of the picture, by the mouse."""
        left, top, width, height = self.rectangle("#overlay")
        size = self.run(
            "(({width, height}) => [width, height])(document.querySelector('#picture'))"
        )
        scale = width / size[0], height / size[1]
        corners = box[:2], (box[0] + box[2], box[1] + box[3])
        self.drag(*[(left + x * scale[0], top + y * scale[1]) for x, y in corners])

    def run(self, script):
        """The value of a script, or of the promise that it is."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, script):
        """The value of a script as soon as it is true."""
        end = time.monotonic() + SECONDS
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"{script} is {value!r}"
            time.sleep(0.1)
        return value

    def text(self, selector):
        """What an element says."""
        return self.run(f"document.querySelector({selector!r}).textContent")

    def wait_for(self, selector, part):
        """What an element says as soon as `part` is in it."""
        element = f"document.querySelector({selector!r})"
        has_part = f"{element}.textContent.includes({json.dumps(part)})"
        return self.wait(f"{has_part} && {element}.textContent")

    def choose_files(self, selector, *paths):
        """Choose files in a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def rectangle(self, selector):
        """Where an element is on the screen: x, y, width, height."""
        self.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
        return self.run(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )

    def click(self, selector):
        """Click on the middle of an element."""
        x, y, width, height = self.rectangle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self._mouse(kind, (x + width / 2, y + height / 2))

    def drag(self, start, end):
        """Drag the mouse from one place of the screen to another."""
        self._mouse("mousePressed", start)
        for part in (0.3, 0.7, 1):
            place = [a + part * (b - a) for a, b in zip(start, end, strict=True)]
            self._mouse("mouseMoved", place)
        self._mouse("mouseReleased", end)

    def _mouse(self, kind, place):
        self.call(
            "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left",
            buttons=int(kind != "mouseReleased"), clickCount=1,
        )  # fmt: skip

    def swipe(self, start, end):
        """Drag a finger from one place of the screen to another."""
        middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
        for kind, place in (("touchStart", start), ("touchMove", middle), ("touchMove", end)):
            points = [{"x": place[0], "y": place[1]}]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def drop(self, selector, *paths):
        """Drop files on an element."""
        x, y, width, height = self.rectangle(selector)
        place = {"x": x + width / 2, "y": y + height / 2}
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, data=data, **place)

    def press(self, key, shift=False):
        """Press a key."""
        code = {"key": key, "code": "Space" if key == " " else key, "modifiers": 8 * shift}
        code["windowsVirtualKeyCode"] = _KEYS[key]
        text = {"Enter": {"text": "\r"}, " ": {"text": " "}}.get(key, {})
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text):
        """Type a text into what has the focus."""
        self.call("Input.insertText", text=text)

    def resize(self, width, height, mobile=False, scheme="light"):
        """Have the screen of another size, and colours of another scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=mobile,
        )  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def take_picture(self, path):
        """Write what the page looks like, all of it, as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def wait_for_download(self, name):
        """The path of a file that is saved under this name, once it is whole.

        It is moved away: the next one of that name keeps it.
        """
        while True:
            begun = {
                p["guid"]: p["suggestedFilename"] for p in self.told("Browser.downloadWillBegin")
            }
            for params in self.told("Browser.downloadProgress"):
                guid, is_whole = params["guid"], params["state"] == "completed"
                if is_whole and begun.get(guid) == name and guid not in self._taken:
                    self._taken.add(guid)
                    return (self.downloads / name).rename(self.downloads.parent / f"{guid}_{name}")
            self._read()

    def errors(self):
        """What the page's scripts did wrong, as the console has it."""
        thrown = [params["exceptionDetails"] for params in self.told("Runtime.exceptionThrown")]
        logged = [params["entry"] for params in self.told("Log.entryAdded")]
        return thrown + [entry for entry in logged if entry["level"] == "error"]


def _start(command):
    """Start Chromium with pipes as its descriptors 3 and 4: its number, to and from it."""
    its_in, to = os.pipe()
    back, its_out = os.pipe()
    # Out of the way of 3 and 4.
    its_in, its_out = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (its_in, its_out))
    actions = [(os.POSIX_SPAWN_DUP2, its_in, 3), (os.POSIX_SPAWN_DUP2, its_out, 4)]
    actions += [(os.POSIX_SPAWN_OPEN, end, os.devnull, os.O_WRONLY, 0) for end in (1, 2)]
    process = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    for end in (its_in, its_out):
        os.close(end)
    return process, to, back


def _write(pipe, data):
    while data:
        data = data[os.write(pipe, data) :]


@contextlib.contextmanager
def serve_folder(folder):
    """Serve a folder as the README has it, `python -m http.server`: its address."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    server = subprocess.Popen(
        [*command, "--directory", str(folder)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        line = server.stdout.readline()  # Serving HTTP on 127.0.0.1 port 40213 (...
        yield f"http://127.0.0.1:{line.split(' port ')[1].split()[0]}"
    finally:
        server.terminate()
        server.wait()
