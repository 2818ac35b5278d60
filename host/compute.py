"""Where networks compute: the host's device, else torch's own."""

from typing import TYPE_CHECKING

from .present import host_module, hosted

if TYPE_CHECKING:
    import torch


def compute_device() -> "torch.device":
    """The device to compute on: the host's choice, else CUDA where there is one."""
    if hosted():
        return host_module("comfy.model_management").get_torch_device()
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(module: "torch.nn.Module") -> "torch.device":
    """Bring a network to the compute device and give that device."""
    device = compute_device()
    module.to(device)
    return device
