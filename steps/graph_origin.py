"""What the marks say of a file that the graph makes: where it comes from, as far as that is known."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .graph_runs import SamplingRun
from .marking.marks import Origin


def graph_origin(
    run: SamplingRun | None, settings: Mapping[str, Any], graph: Mapping[str, str], voice_sha256: str = ""
) -> Origin:
    """Model and portrait are those of the sampler's run; of the graph only what decides results counts.

    Args:
        run: the run that gave the latents; None where that is not known.
        settings: what else decides the file's content.
        graph: the workflow as text.
        voice_sha256: of the sound; empty without one.
    """
    prompt = json.loads(graph.get("prompt", "{}"))
    blocks = {
        name: {key: value for key, value in block.items() if key != "is_changed"}
        for name, block in prompt.items()
    }
    sampled = Origin() if run is None else run.origin
    content = json.dumps({**settings, "prompt": blocks, "sampling": sampled.settings})
    return replace(sampled, voice_sha256=voice_sha256, settings=content)
