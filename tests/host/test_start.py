"""What a host knows of the pack once it has started."""

from comfyui_emo import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS


def test_every_block_is_announced_with_its_title(comfy):
    known = comfy.get("/object_info")
    for node_id in NODE_CLASS_MAPPINGS:
        assert known[node_id]["display_name"] == NODE_DISPLAY_NAME_MAPPINGS[node_id]


def test_the_log_holds_no_error_of_the_pack(comfy):
    log = (comfy.base / "host.log").read_text().split("got prompt")[0]  # later tests provoke errors
    assert "IMPORT FAILED" not in log
    assert "Traceback" not in log
