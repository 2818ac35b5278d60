"""ComfyUI's page in a real browser: opening it, filling its graph, asking it what it holds."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# No welcome, and nothing that lies over the graph.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
}
VIEW = {"width": 1600, "height": 1000}
# What the pack's scripts listen to outside of their own elements, so that a test can see what is left behind.
WATCH_LISTENERS = """
(() => {
  const ours = () => new Error().stack.includes("/extensions/ComfyUI-EMO/");
  const live = (window.emoListeners = new Set());
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const key = (...wanted) => [...live].find((entry) => entry.every((part, at) => part === wanted[at]));
  EventTarget.prototype.addEventListener = function (type, listener, ...rest) {
    if (ours() && !(this instanceof Element)) live.add([this, type, listener]);
    return addEventListener.call(this, type, listener, ...rest);
  };
  EventTarget.prototype.removeEventListener = function (type, listener, ...rest) {
    live.delete(key(this, type, listener));
    return removeEventListener.call(this, type, listener, ...rest);
  };
  const { observe, disconnect } = ResizeObserver.prototype;
  ResizeObserver.prototype.observe = function (...given) {
    if (ours()) live.add([this, "resize", null]);
    return observe.apply(this, given);
  };
  ResizeObserver.prototype.disconnect = function () {
    live.delete(key(this, "resize", null));
    return disconnect.call(this);
  };
})();
"""


class ComfyPage:
    """A page of a running host; `errors` holds what went wrong in its scripts."""

    def __init__(self, host: Any, browser: Any, nodes_2: bool):
        host.post("/settings", {**SETTINGS, "Comfy.VueNodes.Enabled": nodes_2})
        self.host, self.nodes_2, self.errors = host, nodes_2, []
        self.page = browser.new_page(viewport=VIEW)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)
        self.page.add_init_script(WATCH_LISTENERS)
        self.page.goto(host.url)
        ready = "window.app?.graph && window.app.extensionManager?.workflow?.activeWorkflow"
        self.page.wait_for_function(ready, timeout=120_000)

    def _note(self, message: Any) -> None:
        # The host asks for files that need not be there; a browser calls each an error.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def js(self, script: str, given: Any = None) -> Any:
        return self.page.evaluate(script, given)

    def load(self, workflow: dict[str, Any]) -> None:
        """Fill the graph with a workflow, seen at its own size with its origin in the corner."""
        self.js("workflow => app.loadGraphData(workflow)", workflow)
        self.zoom(1)

    def zoom(self, scale: float, x: float = 0, y: float = 0) -> None:
        """Show the graph's point (x, y) in the corner of the page, at this scale."""
        script = """([scale, x, y]) => {
          Object.assign(app.canvas.ds, { scale, offset: [-x, -y] });
          app.canvas.setDirty(true, true);
        }"""
        self.js(script, [scale, x, y])
        self.settle()

    def show(self, node_id: int, scale: float = 1) -> None:
        """Bring a node into view."""
        x, y = self.js("id => [...app.graph.getNodeById(id).pos]", node_id)
        self.zoom(scale, x - 200 / scale, y - 150 / scale)

    def settle(self) -> None:
        """Let the page draw what has changed."""
        self.page.wait_for_timeout(400)

    def widget(self, node_id: int, name: str) -> Any:
        script = "([id, name]) => app.graph.getNodeById(id).widgets.find((w) => w.name === name).value"
        return self.js(script, [node_id, name])

    def copy(self, node_id: int) -> None:
        """Copy a node and paste it."""
        script = """id => {
          app.canvas.selectNode(app.graph.getNodeById(id));
          app.canvas.copyToClipboard();
          app.canvas.pasteFromClipboard();
        }"""
        self.js(script, node_id)
        self.settle()

    def undo(self) -> None:
        self.page.keyboard.press("Control+z")
        self.settle()

    def redo(self) -> None:
        self.page.keyboard.press("Control+y")
        self.settle()

    def nodes(self, kind: str) -> list[int]:
        """Ids of all nodes of a kind."""
        return self.js("type => app.graph.nodes.filter((n) => n.type === type).map((n) => n.id)", kind)

    def state(self, node_id: int, name: str) -> Any:
        """What an editor keeps; None if nothing."""
        text = self.widget(node_id, name)
        return json.loads(text) if text else None

    def box(self, selector: str) -> dict[str, float]:
        """Where an element is on the screen."""
        self.page.wait_for_selector(selector, state="attached", timeout=20_000)
        return self.js("s => document.querySelector(s).getBoundingClientRect().toJSON()", selector)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
        mouse.move(*end, steps=3)
        mouse.up()
        self.settle()

    def run(self) -> Any:
        """Queue the graph as the Run button does, and wait for its end: what the host executed."""
        before = set(self.host.get("/history"))
        self.js("() => app.queuePrompt(0, 1)")
        for _ in range(1200):
            new = set(self.host.get("/history")) - before
            if new:
                return self.host.wait(new.pop())
            self.page.wait_for_timeout(250)
        raise TimeoutError("the prompt has not ended")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium; the tests that need it are skipped where it or playwright is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="no browser tests: playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no browser tests: no chromium on the PATH, and CHROMIUM does not name one")
    with api.sync_playwright() as playwright:
        # Without these two sandboxes and shared memory it also runs as root and in containers.
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--mute-audio"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["classic", "nodes-2"])
def opened_page(request: pytest.FixtureRequest, comfy: Any, chromium: Any) -> Iterator[ComfyPage]:
    opened = ComfyPage(comfy, chromium, nodes_2=request.param == "nodes-2")
    yield opened
    opened.page.close()


@pytest.fixture
def comfy_page(opened_page: ComfyPage) -> Iterator[ComfyPage]:
    """The host's page in each renderer; a test fails if a script on it did."""
    opened_page.errors.clear()
    yield opened_page
    assert opened_page.errors == []


@pytest.fixture
def shots(request: pytest.FixtureRequest) -> Callable[[ComfyPage, str], None]:
    """Takes a picture of the page into the folder that SCREENSHOTS names, if it names one."""

    def take(page: ComfyPage, name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            renderer = "nodes-2" if page.nodes_2 else "classic"
            page.page.screenshot(path=Path(folder) / f"{name}-{renderer}.png")

    return take
