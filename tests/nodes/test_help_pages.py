"""The help page of every block: there, and naming exactly the block's inputs and outputs."""

import re
from pathlib import Path

import pytest

from comfyui_emo import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

PAGES = Path(__file__).resolve().parents[2] / "js" / "docs"


def rows(text: str, heading: str) -> list[str]:
    """Names in the first column of the table under a heading."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)[1]
    table = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert all(len(line.split("|")) == 4 and line.split("|")[2].strip().endswith(".") for line in table)
    return [re.match(r"\| `(\w+)` \|", line)[1] for line in table]


@pytest.mark.parametrize("node_id", NODE_CLASS_MAPPINGS)
def test_every_block_has_a_page_that_names_its_inputs_and_outputs(node_id):
    text = (PAGES / f"{node_id}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {NODE_DISPLAY_NAME_MAPPINGS[node_id]}\n")
    node = NODE_CLASS_MAPPINGS[node_id]
    declared = node.INPUT_TYPES()
    assert sorted(rows(text, "Inputs")) == sorted([*declared["required"], *declared.get("optional", {})])
    assert rows(text, "Outputs") == list(node.RETURN_NAMES)
    assert "\n- " in text.split("## Tips")[1]


def test_every_page_belongs_to_a_block():
    assert {path.stem for path in PAGES.glob("*.md")} == set(NODE_CLASS_MAPPINGS)
