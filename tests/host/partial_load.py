"""Run by the host's own Python in the host's folder: the bundled model under a budget that cannot hold it.

The host's own loader divides the memory; only what it asks of the device is answered here. Prints one line of
JSON: what was left behind, what was then computed, and by which layers.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def start_host_modules() -> None:
    """The host's modules as its main.py --cpu would load them."""
    sys.path.insert(0, "")
    sys.argv = ["main.py", "--cpu"]
    import_module("comfy.options").enable_args_parsing()
    import_module("folder_paths")  # its presence tells the pack of a host


def load_pack() -> None:
    """The pack as a package, loaded from its folder as the host does it."""
    spec = importlib.util.spec_from_file_location("comfyui_emo", ROOT / "__init__.py")
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules["comfyui_emo"] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]


def compute(user_folder: str) -> dict[str, Any]:
    """Every network's work on a picture and a moment of sound, with a model that is loaded anew.

    user_folder: an empty one, where no earlier run lies to go on from.
    """
    import torch

    import_module("folder_paths").set_user_directory(user_folder)

    from comfyui_emo.nodes import NODE_CLASS_MAPPINGS as blocks

    image = torch.rand(1, 160, 128, 3, generator=torch.Generator().manual_seed(0))
    tone = 0.3 * torch.sin(torch.arange(6400) * 0.1)
    model, vae = blocks["EMOLoadModel"]().load("bundled avatar model", "float32")["result"]
    face = blocks["EMOFaceRegion"]().locate(image, 30, 30, 60, 80, -1, -1.0, -1.0, "stop")["result"][0]
    sound = {"waveform": tone[None, None], "sample_rate": 16000}
    voice = blocks["EMOEncodeAudio"]().encode(model, sound, 0.0, 0.0, 0.0, False)[0]
    reference, _ = blocks["EMOReferenceNet"]().encode(model, image, face)
    latent = blocks["EMOSampler"]().sample(model, reference, voice, 2, 1.5, 3)[0]["samples"]
    features = [site.output for site in reference.reference.features]
    frames = vae.decode(latent[:2])
    return {"model": model, "voice": [voice.features], "reference": features, "frames": [latent, frames]}


def watch_loads() -> Callable[[], int]:
    """Gives a count of the bytes that all models together have on the device."""
    patcher_class: Any = import_module("comfy.model_patcher").ModelPatcher
    made: list[Any] = []
    make = patcher_class.__init__

    def watched(patcher: Any, *given: Any, **named: Any) -> None:
        make(patcher, *given, **named)
        made.append(patcher)

    patcher_class.__init__ = watched
    return lambda: sum(patcher.loaded_size() for patcher in made)


def limit_memory(budget_bytes: int, loaded_bytes: Callable[[], int]) -> None:
    """Let the host's loader find this much room for all models together, beside what it keeps free."""
    management: Any = import_module("comfy.model_management")
    kept_free = management.minimum_inference_memory()
    management.vram_state = management.VRAMState.NORMAL_VRAM
    management.is_device_cpu = lambda _: False
    management.get_free_memory = lambda *_, **__: kept_free + max(0, budget_bytes - loaded_bytes())


def watch_casts() -> set[int]:
    """Fills with the layers that bring their weights over when they are used."""
    operations: Any = import_module("comfy.ops")
    seen: set[int] = set()
    cast = operations.cast_bias_weight

    def watched(layer: Any, *given: Any, **named: Any) -> Any:
        seen.add(id(layer))
        return cast(layer, *given, **named)

    operations.cast_bias_weight = watched
    return seen


def tensors_that_follow() -> dict[str, bool]:
    """Which tensors of a network the pack itself moves: those beside layers, not those of layers."""
    import torch

    from comfyui_emo.host import compute

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)
            self.scale = torch.nn.Parameter(torch.ones(2))
            self.register_buffer("places", torch.ones(2))

    moved: list[int] = []
    move = torch.Tensor.to

    def watched(tensor: Any, *given: Any, **named: Any) -> Any:
        moved.append(tensor.data_ptr())
        return move(tensor, *given, **named)

    network = Network()
    compute.use_host_layers(network)
    torch.Tensor.to = watched  # type: ignore[assignment,method-assign]
    compute.bring_the_rest(network, torch.device("cpu"))
    torch.Tensor.to = move  # type: ignore[method-assign]
    return {name: tensor.data_ptr() in moved for name, tensor in network.state_dict().items()}


def main() -> None:
    start_host_modules()
    load_pack()
    import torch

    management = import_module("comfy.model_management")
    loaded_bytes = watch_loads()
    with TemporaryDirectory() as user_folder:
        full = compute(user_folder)
    whole = loaded_bytes()
    lowered = sum(entry.model.model.model_lowvram for entry in management.current_loaded_models)
    management.unload_all_models()
    limit_memory(whole // 2, loaded_bytes)
    casts = watch_casts()
    with TemporaryDirectory() as user_folder:
        partial = compute(user_folder)
    networks = partial["model"].networks
    behind = [layer for layer in networks.modules() if hasattr(layer, "prev_comfy_cast_weights")]
    used = [layer for layer in behind if id(layer) in casts]
    plain = {
        type(layer).__name__
        for layer in networks.modules()
        if type(layer).__module__.startswith("torch.nn") and [*layer.parameters(recurse=False)]
    }
    equal = {
        name: all(torch.equal(a, b) for a, b in zip(full[name], partial[name], strict=True))
        for name in ("voice", "reference", "frames")
    }
    found = {
        "bytes": whole,
        "loaded_bytes": loaded_bytes(),
        "partial_models": [lowered, sum(part.model_lowvram for part in networks.children())],
        "left_behind": len(behind),
        "left_behind_and_used": len(used),
        "plain_layers": sorted(plain),
        "equal": equal,
        "follow": tensors_that_follow(),
        "spread": float(full["frames"][0].std()),
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
