"""Headless Chromium, driven over its DevTools protocol as a person would drive it: by labels, buttons and keys."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
)
PATIENCE_S = 60

_HOLDS = """(expression) => new Promise((done) => {
  const holds = new Function("return " + expression);
  const look = () => holds() && (observer.disconnect(), done());
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  look();
})"""
_BUTTON = """[...document.querySelectorAll("button")].find(
  (one) => !one.disabled && one.ariaDisabled !== "true" && (one.ariaLabel ?? one.textContent) === %s)"""
_FIND_FIELD = """(label) => {
  const found = [...document.querySelectorAll("label")].find((one) => one.textContent === label);
  found.control.focus();
}"""
_CLICK = """(text) => {
  const found = [...document.querySelectorAll("button, a")].find((one) => one.textContent === text);
  found.click();
}"""
_PICK = """(label) => {
  const found = [...document.querySelectorAll("label")].find((one) => one.textContent === label);
  found.control.click();
}"""
_CHOOSE = """(text) => {
  const choice = document.querySelector("select");
  choice.value = text;
}"""


class Tab:
    """One tab. Each `Tab` of `Chromium.tab` is another browser to a server: it shares no cookie."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium = chromium
        self._session = session
        self._loaded = asyncio.Event()
        self._framed: asyncio.Future[Tab] = asyncio.get_running_loop().create_future()
        self.requests: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        """What the browser refused, by the policy of the page."""

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._chromium.send(method, params, self._session)

    async def open(self, url: str) -> None:
        await self._and_wait(self.send("Page.navigate", url=url))

    async def reload(self) -> None:
        await self._and_wait(self.send("Page.reload"))

    async def click(self, text: str) -> None:
        """Click the button or link *text*, and wait for the page that it leads to."""
        await self._and_wait(self._call(_CLICK, text))

    async def push(self, button: str) -> None:
        """Push the *button* of a page that stays, once it is there."""
        found = _BUTTON % json.dumps(button)
        await self.holds(f"((found) => found && (found.click(), true))({found})")  # at once: it may be drawn anew

    async def shows(self, text: str) -> None:
        """Wait until the page says *text*."""
        await self.holds(f"document.body?.innerText.includes({json.dumps(text)})")

    async def holds(self, expression: str) -> None:
        """Wait until a change of the page makes *expression* true."""
        await self._call(_HOLDS, expression)

    async def press(self, key: str, *, leads_on: bool = False) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        codes = {"Tab": 9, "Enter": 13}
        event = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], **text}
        down = self.send("Input.dispatchKeyEvent", type="keyDown", **event)
        await (self._and_wait(down) if leads_on else down)
        with contextlib.suppress(RuntimeError):  # the page that was left takes it no more
            await self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    async def fill(self, label: str, value: str) -> None:
        await self._call(_FIND_FIELD, label)
        await self.send("Input.insertText", text=value)

    async def pick(self, label: str) -> None:
        """Pick the radio button called *label*."""
        await self._call(_PICK, label)

    async def choose(self, option: str) -> None:
        await self._call(_CHOOSE, option)

    async def evaluate(self, expression: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def text(self) -> str:
        return await self.evaluate("document.body.innerText")

    async def frame(self) -> Tab:
        """Return what is within the page's one frame, which is kept apart from the page."""
        await self.send("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
        async with asyncio.timeout(PATIENCE_S):
            return await self._framed

    async def title(self) -> str:
        return await self.evaluate("document.querySelector('h1').innerText")

    async def url(self) -> str:
        return await self.evaluate("location.href")

    async def history(self) -> list[str]:
        return [entry["url"] for entry in (await self.send("Page.getNavigationHistory"))["entries"]]

    async def accessible(self) -> list[tuple[str, str]]:
        """Return what a screen reader finds: each thing's role and name."""
        tree = (await self.send("Accessibility.getFullAXTree"))["nodes"]
        seen = [node for node in tree if not node["ignored"]]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in seen]

    async def look(self, *, dark: bool = False, width: int = 1024, height: int = 900) -> bytes:
        """Return a picture of the page."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        return base64.b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])

    def on_event(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Target.attachedToTarget" if not self._framed.done():
                self._framed.set_result(self._chromium.tab_of(params["sessionId"]))
            case "Network.requestWillBeSent":
                self.requests.append(params["request"])
            case "Network.responseReceived":
                self.answers.append(params["response"])
            case "Log.entryAdded" if params["entry"]["source"] == "security":
                self.complaints.append(params["entry"]["text"])

    async def _call(self, function: str, *arguments: str) -> None:
        given = ", ".join(map(json.dumps, arguments))
        await self.evaluate(f"({function})({given})")

    async def _and_wait(self, act: Any) -> None:
        self._loaded.clear()
        await act
        async with asyncio.timeout(PATIENCE_S):
            await self._loaded.wait()


class Chromium:
    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}

    async def send(self, method: str, params: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        id_ = next(self._ids)
        self._waiting[id_] = asyncio.get_running_loop().create_future()
        message = {"id": id_, "method": method, "params": params} | ({"sessionId": session} if session else {})
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(PATIENCE_S):
            return await self._waiting[id_]

    async def tab(self) -> Tab:
        """Return a tab of a browser that nobody has used before."""
        context = (await self.send("Target.createBrowserContext", {}))["browserContextId"]
        target = await self.send("Target.createTarget", {"url": "about:blank", "browserContextId": context})
        attached = await self.send("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        tab = self.tab_of(attached["sessionId"])
        for domain in ("Page", "Network", "Log", "Accessibility"):
            await tab.send(f"{domain}.enable")
        return tab

    def tab_of(self, session: str) -> Tab:
        """Return the tab of a DevTools session that was just begun."""
        return self._tabs.setdefault(session, Tab(self, session))

    async def listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # it ends without a word
            async for raw in self._socket:
                self._take(json.loads(raw))

    def _take(self, message: dict[str, Any]) -> None:
        if waiting := self._waiting.pop(message.get("id", 0), None):
            if "error" in message:
                waiting.set_exception(RuntimeError(message["error"]["message"]))
            else:
                waiting.set_result(message["result"])
        elif tab := self._tabs.get(message.get("sessionId", "")):
            tab.on_event(message["method"], message["params"])


@contextlib.asynccontextmanager
async def chromium(folder: Path):
    """Run Chromium, with its profile in *folder*, for as long as the block lasts."""
    program = shutil.which("chromium")
    assert program, "These tests need Debian's package `chromium`."
    process = await asyncio.create_subprocess_exec(
        program,
        *FLAGS,
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(60):
            url = await _devtools(process.stderr)
        drain = asyncio.create_task(_drain(process.stderr))
        async with connect(url, max_size=None) as socket:
            browser = Chromium(socket)
            listening = asyncio.create_task(browser.listen())
            yield browser
            with contextlib.suppress(TimeoutError, ConnectionClosed):
                await browser.send("Browser.close", {})
            await listening
        await drain
    finally:
        if process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _devtools(stderr: Any) -> str:
    while line := (await stderr.readline()).decode():
        if found := re.search(r"ws://\S+", line):
            return found[0]
    raise AssertionError("Chromium did not start.")


async def _drain(stderr: Any) -> None:
    while await stderr.read(65536):
        pass
