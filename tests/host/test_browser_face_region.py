"""The face region editor in a real page, in both renderers: mouse, keys, and what the host then executes."""

import shutil

import pytest
from host.page import ROOT, ComfyPage

NODE = 2
DRAWING = '.emo-editor svg[aria-label^="Face region"]'
PICTURE = 512  # ada.png is square



def node(number: int, kind: str, left: int, inputs: list, outputs: list, values: list) -> dict:
    """A node of a saved graph; inputs are (name, type, link), outputs (name, type, links)."""
    return {
        "id": number, "type": kind, "pos": [left, 120], "size": [380, 640], "flags": {}, "order": number,
        "mode": 0, "properties": {}, "widgets_values": values,
        "inputs": [dict(zip(("name", "type", "link"), entry, strict=True)) for entry in inputs],
        "outputs": [dict(zip(("name", "type", "links"), entry, strict=True)) for entry in outputs],
    }  # fmt: skip


FACE_OUTPUTS = [
    ("face", "EMO_FACE", []), ("mask", "MASK", []), ("crop", "IMAGE", []), ("preview", "IMAGE", [2]),
]  # fmt: skip
WORKFLOW = {
    "version": 0.4, "last_node_id": 3, "last_link_id": 2, "groups": [], "config": {}, "extra": {},
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 3, 3, 0, "IMAGE"]],
    "nodes": [
        node(1, "LoadImage", 80, [], [("IMAGE", "IMAGE", [1]), ("MASK", "MASK", [])], ["ada.png", "image"]),
        node(
            NODE, "EMOFaceRegion", 480, [("image", "IMAGE", 1), ("mask", "MASK", None)], FACE_OUTPUTS,
            [0, 0, 0, 0, -1, 0.1, -1, "stop", ""],
        ),
        node(3, "PreviewImage", 900, [("images", "IMAGE", 2)], [], []),
    ],
}  # fmt: skip


@pytest.fixture
def page(comfy_page) -> ComfyPage:
    shutil.copy(ROOT / "assets" / "portraits" / "ada.png", comfy_page.host.input_folder)
    comfy_page.load(WORKFLOW)
    comfy_page.page.wait_for_selector(f"{DRAWING} image[href]", state="attached", timeout=20_000)
    comfy_page.settle()
    return comfy_page


def at(page: ComfyPage, x: float, y: float) -> tuple[float, float]:
    """A pixel of the picture on the screen."""
    image = page.box(f"{DRAWING} image")
    return image["x"] + x / PICTURE * image["width"], image["y"] + y / PICTURE * image["height"]


def draw(page: ComfyPage, x: float, y: float, right: float, bottom: float) -> dict:
    page.drag(at(page, x, y), at(page, right, bottom))
    return page.state(NODE, "region")


def near(region: dict, x: int, y: int, width: int, height: int) -> bool:
    # A pixel of the screen is about two of the picture.
    wanted = {"x": x, "y": y, "width": width, "height": height}
    return all(abs(region[name] - value) <= 4 for name, value in wanted.items())


def test_a_region_drawn_with_the_mouse_is_the_one_that_is_executed(page, shots):
    right = 420 if page.nodes_2 else 400  # another box, so that nothing comes from the host's cache
    assert near(draw(page, 110, 75, right, 455), 110, 75, right - 110, 380)
    outcome = page.run()
    assert outcome.status == "success", outcome.messages[-1][1].get("exception_message")
    executed = outcome.prompt[str(NODE)]["inputs"]
    drawn = page.state(NODE, "region")
    assert executed["region"] == page.widget(NODE, "region") and drawn["picture"] == [PICTURE, PICTURE]
    assert [executed[name] for name in ("x", "y", "width", "height")] == [
        drawn[name] for name in ("x", "y", "width", "height")
    ]
    found = outcome.outputs[str(NODE)]["emo_face"][0]
    assert found["region"] == [drawn[name] for name in ("x", "y", "width", "height")]
    page.settle()
    shots(page, "face-region")
    assert "face_editor" not in executed


def test_the_box_is_moved_and_resized_with_the_mouse(page):
    draw(page, 100, 100, 300, 300)
    page.drag(at(page, 200, 200), at(page, 250, 220))
    assert near(page.state(NODE, "region"), 150, 120, 200, 200)
    page.drag(at(page, 350, 320), at(page, 400, 420))
    assert near(page.state(NODE, "region"), 150, 120, 250, 300)
    page.drag(at(page, 150, 250), at(page, 100, 250))
    assert near(page.state(NODE, "region"), 100, 120, 300, 300)


def test_the_box_is_made_moved_resized_and_cleared_with_keys(page):
    page.page.locator(DRAWING).focus()
    keys = page.page.keyboard
    keys.press("Enter")
    middle = {"x": 133, "y": 102, "width": 246, "height": 307, "picture": [512, 512]}
    assert page.state(NODE, "region") == middle
    for key in ("ArrowRight", "Control+ArrowDown", "Shift+ArrowLeft", "Shift+ArrowDown"):
        keys.press(key)
    assert near(page.state(NODE, "region"), 134, 112, 245, 308)
    assert [page.widget(NODE, name) for name in ("x", "y", "width", "height")] == [134, 112, 245, 308]
    keys.press("Delete")
    assert page.state(NODE, "region") is None and page.widget(NODE, "width") == 0
    assert page.js("id => !!app.graph.getNodeById(id)", NODE), "the key was the editor's, not the graph's"


def test_numbers_typed_move_the_box(page):
    draw(page, 100, 100, 300, 300)
    script = """id => {
      const widget = app.graph.getNodeById(id).widgets.find((w) => w.name === "x");
      widget.value = 20;
      widget.callback(20);
    }"""
    page.js(script, NODE)
    page.settle()
    assert page.state(NODE, "region")["x"] == 20
    face, image = page.box(f"{DRAWING} .face"), page.box(f"{DRAWING} image")
    assert abs((face["x"] - image["x"]) / image["width"] * PICTURE - 20) < 5


def test_the_region_survives_saving_loading_copying_and_undoing(page):
    first = draw(page, 100, 100, 300, 300)
    second = draw(page, 50, 320, 250, 480)
    assert first != second
    page.undo()
    assert page.state(NODE, "region") == first
    if not page.nodes_2:  # there the host resizes all nodes after an undo, which may end what can be redone
        page.redo()
        assert page.state(NODE, "region") == second
    second = page.state(NODE, "region")
    saved = page.js("() => app.graph.serialize()")
    page.copy(NODE)
    copies = page.nodes("EMOFaceRegion")
    assert len(copies) == 2 and all(page.state(copy, "region") == second for copy in copies)
    draw(page, 10, 10, 200, 200)
    assert page.state(next(copy for copy in copies if copy != NODE), "region") == second
    page.load(saved)
    assert page.state(NODE, "region") == second
    page.page.wait_for_selector(f"{DRAWING} .face", state="attached", timeout=20_000)
    values = next(entry for entry in saved["nodes"] if entry["id"] == NODE)["widgets_values"]
    assert len(values) == 9 and values[:4] == [second[name] for name in ("x", "y", "width", "height")]


def test_a_made_picture_is_shown_after_a_run_with_the_fallback_that_was_taken(page):
    page.js("""id => {
      const [loader, face] = [app.graph.getNodeById(1), app.graph.getNodeById(id)];
      const invert = LiteGraph.createNode("ImageInvert");
      invert.pos = [80, 560];
      app.graph.add(invert);
      loader.connect(0, invert, 0);
      invert.connect(0, face, 0);
      face.widgets.find((widget) => widget.name === "if_no_face").value = "take the middle of the picture";
    }""", NODE)  # fmt: skip
    page.settle()
    editor = page.page.locator(".emo-editor")
    assert "run once" in editor.inner_text()
    assert page.run().status == "success"
    page.page.wait_for_selector(f"{DRAWING} .found", state="attached", timeout=20_000)
    assert "the middle of the picture is taken for the face" in editor.inner_text()
    assert near(draw(page, 110, 75, 410, 455), 110, 75, 300, 380)
    assert page.state(NODE, "region")["picture"] == [PICTURE, PICTURE]


def test_numbers_from_another_node_cannot_be_drawn_over(page):
    page.js("""id => {
      const number = LiteGraph.createNode("PrimitiveInt");
      app.graph.add(number);
      const face = app.graph.getNodeById(id);
      number.connect(0, face, face.findInputSlot("x"));
    }""", NODE)  # fmt: skip
    page.settle()
    assert draw(page, 100, 100, 300, 300) is None
    assert "connected numbers" in page.page.locator(".emo-editor").inner_text()


@pytest.mark.parametrize("scale", [0.5, 1.7])
def test_the_graphs_zoom_does_not_move_the_mouse_off_the_picture(page, scale):
    page.zoom(scale, 250, 90)
    assert near(draw(page, 110, 75, 410, 455), 110, 75, 300, 380)


def test_the_wheel_over_the_editor_zooms_the_graph(page):
    before = page.js("() => app.canvas.ds.scale")
    page.page.mouse.move(*at(page, 250, 250))
    page.page.mouse.wheel(0, -240)
    page.settle()
    assert page.js("() => app.canvas.ds.scale") > before


def test_a_removed_node_leaves_no_listener(page):
    live = page.js("() => emoListeners.size")
    assert live > 0
    page.js("id => app.graph.remove(app.graph.getNodeById(id))", NODE)
    page.settle()
    assert page.js("() => [...emoListeners].map((e) => e[1])") == []
