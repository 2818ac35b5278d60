"""The picture of the whole graph for the README: taken from a real page, when SCREENSHOTS names a folder."""

import json
import os
import shutil
from pathlib import Path

import pytest
from host.page import ROOT, ComfyPage

WIDTH_PX, BORDER_PX, TITLE_PX = 2400, 30, 40

pytestmark = pytest.mark.skipif(
    "SCREENSHOTS" not in os.environ, reason="takes the README's picture: set SCREENSHOTS to a folder"
)


def test_picture_of_the_whole_graph(comfy, chromium):
    for kind in ("portraits", "voices"):
        shutil.copytree(ROOT / "assets" / kind, comfy.input_folder, dirs_exist_ok=True)
    page = ComfyPage(comfy, chromium, nodes_2=False)
    workflow = json.loads((ROOT / "workflows" / "talk-blocks.json").read_text(encoding="utf-8"))
    page.load(workflow)
    page.js("() => app.extensionManager.command.execute('Workspace.ToggleFocusMode')")
    fit_graph(page)
    outcome = page.run()
    assert outcome.status == "success", outcome.messages[-1][1].get("exception_message")
    page.page.wait_for_selector("video", timeout=20_000)
    fit_graph(page)
    # The middle of the video, where the mouth is at work; then the page has settled too.
    page.js("""() => {
      for (const video of document.querySelectorAll("video")) video.currentTime = video.duration / 2;
    }""")
    page.page.wait_for_timeout(3000)
    target = Path(os.environ["SCREENSHOTS"]).absolute() / "graph.jpg"
    page.page.screenshot(path=target, type="jpeg", quality=88)
    assert page.errors == []
    page.page.close()


def fit_graph(page: ComfyPage) -> None:
    """Show all nodes, and make the page as tall as they are."""
    left, top, right, bottom = page.js("""() => {
      const boxes = app.graph.nodes.map((node) => node.boundingRect);
      return [
        Math.min(...boxes.map((box) => box[0])), Math.min(...boxes.map((box) => box[1])),
        Math.max(...boxes.map((box) => box[0] + box[2])), Math.max(...boxes.map((box) => box[1] + box[3])),
      ];
    }""")  # fmt: skip
    scale = (WIDTH_PX - 2 * BORDER_PX) / (right - left)
    height = round((bottom - top) * scale + 2 * BORDER_PX + TITLE_PX)
    page.page.set_viewport_size({"width": WIDTH_PX, "height": height})
    page.zoom(scale, left - BORDER_PX / scale, top - (BORDER_PX + TITLE_PX) / scale)
