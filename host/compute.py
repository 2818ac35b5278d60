"""Where networks compute, and in which dtype: the host's choice, else torch's own.

In a host every network lies behind a `ModelPatcher`, so that the host moves it to the card and away again
beside all other models. Where a card cannot hold a whole model, the host leaves a part of it in main memory;
leaf layers are then brought over one by one, which only the host's own layer classes do.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .present import host_module, hosted

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger(__name__)

DTYPES = ("auto", "float32", "bfloat16", "float16")

Bring = Callable[..., "torch.device"]
"""Called with names of networks (and `memory_bytes`): brings them to the compute device and gives it."""


def compute_device() -> "torch.device":
    """The device to compute on: the host's choice, else CUDA where there is one."""
    if hosted():
        return host_module("comfy.model_management").get_torch_device()
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_dtype(name: str, parameter_count: int) -> "torch.dtype":
    """A dtype of `DTYPES`; "auto" is what the host would give a model of so many parameters, else float32."""
    import torch

    if name != "auto":
        return getattr(torch, name)
    if not hosted():
        return torch.float32
    supported = [torch.float16, torch.bfloat16, torch.float32]
    chosen = host_module("comfy.model_management").unet_dtype(
        device=compute_device(), model_params=parameter_count, supported_dtypes=supported
    )
    if chosen in supported:
        return chosen
    log.warning("the host asks for %s, in which these networks cannot compute: float16 is taken", chosen)
    return torch.float16


def manage(networks: "Mapping[str, nn.Module]") -> Bring:
    """Put networks in the host's care; what it gives brings some of them to the compute device."""
    if not hosted():
        return _bring_plainly(networks)
    management = host_module("comfy.model_management")
    patchers = {name: _patcher(network) for name, network in networks.items()}

    def bring(*names: str, memory_bytes: int = 0) -> "torch.device":
        chosen = [patchers[name] for name in names]
        management.load_models_gpu(chosen, memory_required=memory_bytes)
        for patcher in chosen:
            bring_the_rest(patcher.model, patcher.load_device)
        return compute_device()

    return bring


def _bring_plainly(networks: "Mapping[str, nn.Module]") -> Bring:
    def bring(*names: str, memory_bytes: int = 0) -> "torch.device":
        device = compute_device()
        for name in names:
            networks[name].to(device)
        return device

    return bring


def _patcher(network: "nn.Module") -> Any:
    management = host_module("comfy.model_management")
    use_host_layers(network)
    return host_module("comfy.model_patcher").ModelPatcher(
        network, load_device=compute_device(), offload_device=management.unet_offload_device()
    )


def use_host_layers(network: "nn.Module") -> None:
    """Turn a network's leaf layers, in place, into the host's, which follow their input when left behind.

    Weights that are computed from others (weight norm) are computed here, once, so that their layers are
    plain ones.
    """
    from torch import nn
    from torch.nn.utils import parametrize

    operations = host_module("comfy.ops").disable_weight_init
    classes = {
        getattr(nn, name): getattr(operations, name)
        for name in ("Linear", "Conv1d", "Conv2d", "GroupNorm", "LayerNorm", "Embedding")
    }
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name)
        module.__class__ = classes.get(type(module), type(module))
        if isinstance(module, operations.Embedding):
            module.register_parameter("bias", None)  # which the host asks of every layer of its own


def bring_the_rest(network: "nn.Module", device: "torch.device") -> None:
    """Bring what the host leaves behind in a part-wise load: buffers and weights that lie beside layers."""
    for module in network.modules():
        if not hasattr(module, "comfy_cast_weights"):
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                tensor.data = tensor.data.to(device)
