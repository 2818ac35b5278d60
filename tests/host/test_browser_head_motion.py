"""The speed curve editor, and the video in its node, in a real page in both renderers."""

import json
import shutil

import pytest
from host.page import ROOT, ComfyPage

DRAWING = '.emo-editor svg[aria-label^="Head speed"]'
# The editor's own margins around its plot, and its range of speeds at first.
LEFT, RIGHT, TOP, BOTTOM, HIGHEST = 26, 10, 8, 18, 2


@pytest.fixture
def page(comfy_page) -> ComfyPage:
    for name in ("portraits/ada.png", "voices/hello-spoken-f3.flac"):
        shutil.copy(ROOT / "assets" / name, comfy_page.host.input_folder)
    workflow = json.loads((ROOT / "workflows" / "talk-blocks.json").read_text(encoding="utf-8"))
    comfy_page.load(workflow)
    comfy_page.js("""start => {
      const node = (type) => app.graph.nodes.find((node) => node.type === type);
      const set = (type, name, value) => { node(type).widgets.find((w) => w.name === name).value = value; };
      const motion = node("EMOHeadMotion"), voice = node("EMOEncodeAudio");
      voice.connect(1, motion, motion.findInputSlot("audio"));
      set("EMOEncodeAudio", "duration", 2);
      set("EMOEncodeAudio", "start", start);  // another voice, so that nothing comes from the host's cache
      set("EMOSampler", "steps", 1);
    }""", 0.2 if comfy_page.nodes_2 else 0.1)  # fmt: skip
    comfy_page.show(node_of(comfy_page, "EMOHeadMotion"))
    comfy_page.page.wait_for_selector(f"{DRAWING} .waveform", state="attached", timeout=20_000)
    return comfy_page


def node_of(page: ComfyPage, kind: str) -> int:
    return page.nodes(kind)[0]


def at(page: ComfyPage, share: float, speed: float) -> tuple[float, float]:
    """A point of the plot on the screen: a share of its 2 seconds, and a speed."""
    box = page.box(DRAWING)
    width = box["width"] - LEFT - RIGHT
    height = box["height"] - TOP - BOTTOM
    return box["x"] + LEFT + share * width, box["y"] + TOP + (1 - speed / HIGHEST) * height


def curve(page: ComfyPage) -> list | None:
    return page.state(node_of(page, "EMOHeadMotion"), "curve")


def click(page: ComfyPage, share: float, speed: float) -> None:
    page.page.mouse.click(*at(page, share, speed))
    page.settle()


def near(points: list, wanted: list) -> bool:
    return len(points) == len(wanted) and all(
        abs(time - at_time) < 0.03 and abs(speed - at_speed) < 0.06
        for (time, speed), (at_time, at_speed) in zip(points, wanted, strict=True)
    )


def test_a_curve_drawn_with_the_mouse_is_the_one_that_is_executed(page, shots):
    for share, speed in ((0.25, 0.4), (0.75, 1.2), (0.5, 0.2)):
        click(page, share, speed)
    assert near(curve(page), [[0.5, 0.4], [1.0, 0.2], [1.5, 1.2]])
    page.drag(at(page, 0.5, 0.2), at(page, 0.6, 0.8))
    assert near(curve(page), [[0.5, 0.4], [1.2, 0.8], [1.5, 1.2]])
    motion = node_of(page, "EMOHeadMotion")
    assert page.widget(motion, "style") == "by curve"
    shots(page, "speed-curve")
    outcome = page.run()
    assert outcome.status == "success", outcome.messages[-1][1].get("exception_message")
    executed = outcome.prompt[str(motion)]["inputs"]
    assert executed["curve"] == page.widget(motion, "curve") and executed["style"] == "by curve"
    (shown,) = outcome.outputs[str(motion)]["emo_waveform"]
    assert shown["duration_s"] == 2.0 and max(shown["peaks"]) > 0.05
    page.show(node_of(page, "EMOCombineVideo"))
    page.page.wait_for_selector("video", timeout=20_000)
    page.page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=20_000)
    assert abs(page.js("() => document.querySelector('video').duration") - 2.0) < 0.1
    shots(page, "video")


def test_points_are_removed_and_the_curve_is_cleared(page):
    click(page, 0.25, 0.4)
    click(page, 0.75, 1.2)
    page.page.mouse.dblclick(*at(page, 0.25, 0.4))
    page.settle()
    assert near(curve(page), [[1.5, 1.2]])
    page.page.locator('.emo-editor:has(svg[aria-label^="Head speed"]) button').click()
    page.settle()
    assert curve(page) is None


def test_points_are_added_moved_and_removed_with_keys(page):
    page.page.locator(DRAWING).focus()
    keys = page.page.keyboard
    keys.press("Enter")
    assert curve(page) == [[1.0, 0.5]]
    for key in ("ArrowUp", "ArrowRight", "Shift+ArrowUp"):
        keys.press(key)
    assert curve(page) == [[1.05, 0.8]]
    keys.press("Enter")
    assert len(curve(page)) == 2
    keys.press("PageDown")
    keys.press("Delete")
    assert len(curve(page)) == 1


def test_the_curve_survives_saving_loading_copying_and_undoing(page):
    click(page, 0.25, 0.4)
    first = curve(page)
    click(page, 0.75, 1.2)
    second = curve(page)
    saved = page.js("() => app.graph.serialize()")
    page.copy(node_of(page, "EMOHeadMotion"))
    copies = page.nodes("EMOHeadMotion")
    assert len(copies) == 2 and all(page.state(copy, "curve") == second for copy in copies)
    page.load(saved)
    page.show(node_of(page, "EMOHeadMotion"))
    assert curve(page) == second
    click(page, 0.5, 1.0)
    assert len(curve(page)) == 3
    page.undo()
    assert curve(page) == second != first


@pytest.mark.parametrize("scale", [0.6, 1.6])
def test_the_graphs_zoom_does_not_move_the_points(page, scale):
    page.show(node_of(page, "EMOHeadMotion"), scale)
    box = page.box(DRAWING)
    share = (LEFT + 0.5 * (box["width"] / scale - LEFT - RIGHT)) * scale
    down = (TOP + 0.5 * (box["height"] / scale - TOP - BOTTOM)) * scale
    page.page.mouse.click(box["x"] + share, box["y"] + down)
    page.settle()
    assert near(curve(page), [[1.0, 1.0]])


def test_a_removed_node_leaves_no_listener(page):
    page.js("() => { for (const node of [...app.graph.nodes]) if (/EMOFace|EMOHead/.test(node.type)) "
            "app.graph.remove(node); }")  # fmt: skip
    page.settle()
    assert page.js("() => [...emoListeners].map((e) => e[1])") == []
