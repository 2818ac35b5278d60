"""A workflow as the page saves it -> the prompt that the page would queue, by the host's declarations."""

from typing import Any

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
NOTES = {"Note", "MarkdownNote"}


def declared_inputs(info: dict[str, Any], node_type: str) -> dict[str, list[Any]]:
    """All inputs of a node in the host's /object_info, required ones first."""
    declared = info[node_type]["input"]
    return {**declared.get("required", {}), **declared.get("optional", {})}


def is_widget(spec: list[Any]) -> bool:
    """Whether an input has a value of its own."""
    return isinstance(spec[0], list) or spec[0] in WIDGETS


def choices(spec: list[Any]) -> list[Any] | None:
    """What a list to choose from offers; None for other inputs."""
    if isinstance(spec[0], list):
        return spec[0]
    return spec[1]["options"] if spec[0] == "COMBO" else None


def widget_values(node: dict[str, Any], inputs: dict[str, list[Any]]) -> dict[str, Any]:
    """The values that a saved node holds, by the names of its inputs.

    After a seed the page saves what becomes of it after a run; at the end, the values of upload buttons.
    """
    values = iter(node["widgets_values"])
    found = {}
    for name, spec in inputs.items():
        if is_widget(spec):
            found[name] = next(values)
            if spec[1].get("control_after_generate"):
                next(values)
    return found


def api_form(workflow: dict[str, Any], info: dict[str, Any], **changes: dict[str, Any]) -> dict[str, Any]:
    """The prompt of a workflow; `changes` are other values of inputs, by node type."""
    links = {link: [str(source), output] for link, source, output, *_ in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        inputs = widget_values(node, declared_inputs(info, node["type"]))
        inputs.update(changes.get(node["type"], {}))
        inputs.update({i["name"]: links[i["link"]] for i in node["inputs"] if i["link"] is not None})
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt
