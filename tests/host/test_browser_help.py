"""A block's help page, opened in the page as a user does."""

import pytest

from comfyui_emo import NODE_CLASS_MAPPINGS


@pytest.mark.parametrize("node_id", ["EMOFaceRegion", "EMOHeadMotion"])
def test_the_help_page_opens_beside_the_graph(comfy_page, shots, node_id):
    comfy_page.js("""kind => {
      app.graph.clear();
      const node = LiteGraph.createNode(kind);
      node.pos = [500, 300];
      app.graph.add(node);
      app.canvas.selectNode(node);
    }""", node_id)  # fmt: skip
    comfy_page.zoom(1)
    comfy_page.page.get_by_test_id("info-button").click()
    panel = comfy_page.page.locator(".node-help-content")
    panel.get_by_role("heading", name="Tips").wait_for(timeout=20_000)
    text = panel.inner_text()
    declared = NODE_CLASS_MAPPINGS[node_id].INPUT_TYPES()
    assert all(name in text for name in [*declared["required"], *declared["optional"]])
    shots(comfy_page, f"help-{node_id}")
