"""How much memory a run will need, and whether a device has it: found out before hours are spent.

The model's networks are built on torch's `meta` device, where tensors have shapes and no content, and sample
and decode once there: the tensors that live at the same time add up to the peak, without any computing.
"""

import logging
import os
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..errors import InputError
from ..models.build import EmoNetworks, build_networks
from ..models.config import LATENT_DOWNSCALE, EmoConfig
from ..models.speed_layers import speed_buckets
from .decoding import decode_clip
from .reference import motion_features

log = logging.getLogger(__name__)

# What is taken beside the tensors themselves: work space of convolutions and attention and what allocators
# keep, as a share of the tensors (on a CPU 1.4 to 1.6 of them were measured), and libraries once.
WORKSPACE, LIBRARIES = 1.7, 64_000_000
_MEMINFO = Path("/proc/meminfo")
# (limit, usage) of the control group that a container runs in, versions 2 and 1.
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes of tensors that a run needs on its device.

    Attributes:
        weights: of all networks.
        clip: beside them, to sample a clip.
        decode_frame: beside the weights, to decode a frame.
        video: beside all of them, what is held of the whole video and its voice.
    """

    weights: int
    clip: int
    decode_frame: int
    video: int = 0

    def beside_weights(self, frames_at_once: int) -> int:
        """Peak beside the weights of a run that decodes so many frames together, work space included."""
        working = max(self.clip, frames_at_once * self.decode_frame)
        return LIBRARIES + self.video + round(WORKSPACE * working)


class LivingTensors(TorchDispatchMode):
    """Adds up the storage of the tensors made inside it that are still in use.

    Attributes:
        now: bytes in use.
        peak: the most there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._uses: Counter[int] = Counter()  # tensors by the storage they share
        # By the reference's id: references themselves compare as the tensors do.
        self._known: dict[int, tuple[weakref.ref[Tensor], int, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        reference = weakref.ref(tensor, self._drop)
        self._known[id(reference)] = (reference, key, size)
        self._uses[key] += 1
        if self._uses[key] == 1:
            self.now += size
            self.peak = max(self.peak, self.now)

    def _drop(self, reference: "weakref.ref[Tensor]") -> None:
        _, key, size = self._known.pop(id(reference))
        self._uses[key] -= 1
        if not self._uses[key]:
            del self._uses[key]
            self.now -= size


@lru_cache(maxsize=4)
def estimate_memory(config: EmoConfig, guided: bool, dtype: torch.dtype = torch.float32) -> MemoryNeed:
    """What a model of this configuration needs at its own picture size.

    Args:
        config: of the model.
        guided: whether guidance asks the Backbone a second time.
        dtype: of weights and tensors.
    """
    networks = build_networks(config, "meta").to(dtype)
    weights = sum(part.numel() * part.element_size() for part in networks.parameters())
    defaults, channels = config.defaults, config.spatial.latent_channels
    height, width = defaults.height_px // LATENT_DOWNSCALE, defaults.width_px // LATENT_DOWNSCALE
    with torch.inference_mode():
        latent = torch.empty(1, channels, height, width, dtype=dtype, device="meta")
        with LivingTensors() as sampling:
            _predict_once(networks, latent, guided)
        decode = 0
        if networks.autoencoder is not None:
            with LivingTensors() as decoding:
                decode_clip(networks, latent[:, None])
            decode = decoding.peak
    return MemoryNeed(weights, sampling.peak, decode)


def _predict_once(networks: EmoNetworks, latent: Tensor, guided: bool) -> None:
    """A step of a clip that goes on from an earlier one, with a latent [1, C, h, w] for its portrait."""
    config = networks.config
    frames, motion_frames = config.temporal.frames_per_clip, config.temporal.motion_frames
    scale = config.locator.mask_scale
    portrait = networks.reference_net(latent)
    last = latent[:, None].expand(-1, motion_frames, -1, -1, -1)
    before = motion_features(networks, last) if motion_frames else None
    voice = latent.new_empty(1, frames, 2 * config.audio.window + 1, config.audio.feature_width)
    mask = latent.new_empty(1, 1, scale * latent.shape[-2], scale * latent.shape[-1])
    speed = speed_buckets(latent.new_zeros(1, frames), config.speed)
    conditions = networks.backbone.prepare(portrait, before, networks.audio_projection(voice), mask, speed)
    noise, timestep = latent.new_empty(1, frames, *latent.shape[1:]), latent.new_zeros(1)
    predicted = networks.backbone(noise, timestep, conditions)
    if guided:
        # As the sampler does, with the first prediction still there.
        predicted = predicted - networks.backbone(noise, timestep, conditions.without_voice())


def free_bytes(device: torch.device) -> int | None:
    """Memory that a device has left for tensors; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if device.type == "cpu":
        known = [size for size in (_free_in_machine(), _free_in_group()) if size is not None]
        return min(known, default=None)
    return None


def _free_in_machine() -> int | None:
    if _MEMINFO.exists():
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    if "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _free_in_group() -> int | None:
    """What a container may still take; None without a limit."""
    for limit, usage in _CGROUPS:
        if Path(limit).exists() and (text := Path(limit).read_text().strip()).isdigit():
            return int(text) - int(Path(usage).read_text())
    return None


def frames_decoded_at_once(
    networks: EmoNetworks,
    device: torch.device,
    guided: bool,
    free: int | None = None,
    placed: bool = False,
) -> int:
    """How many frames of a clip can be decoded together in the memory that the device has left.

    Args:
        networks: wherever they are now; on the device itself their weights are counted no more.
        device: that will compute.
        guided: whether the sampler uses guidance.
        free: bytes left on the device; None asks the device.
        placed: whether somebody has brought to the device as much of the weights as it is going to hold.

    Raises:
        InputError: not even one frame, or no clip fits.
    """
    frames = networks.config.temporal.frames_per_clip
    free = free_bytes(device) if free is None else free
    if free is None:
        return frames
    first = next(networks.parameters())
    need = estimate_memory(networks.config, guided, first.dtype)
    weights = 0 if placed or first.device.type == device.type else need.weights
    at_once = _halved_until_it_fits(frames, need, free - weights)
    wanted = weights + need.beside_weights(at_once)
    if wanted > free:
        raise InputError(
            got=f"{_gigabytes(free)} free on {device}, for a run that needs about {_gigabytes(wanted)} "
            f"there: {_gigabytes(weights)} for weights, the rest for a clip of {frames} frames",
            allowed="a device with as much free memory",
            do="close other programs, compute on another device (such as the CPU), or use a smaller model",
        )
    if at_once < frames:
        log.info("%s free on %s: frames are decoded %d at a time", _gigabytes(free), device, at_once)
    return at_once


def pictures_decoded_at_once(networks: EmoNetworks, device: torch.device, most: int) -> int:
    """How many pictures can be decoded together in what the device has left: at most `most`, at least one.

    networks: of a model of this project, its autoencoder on the device.
    """
    free = free_bytes(device)
    if free is None:
        return most
    need = estimate_memory(networks.config, False, next(networks.parameters()).dtype)
    return _halved_until_it_fits(most, replace(need, clip=0), free)


def _halved_until_it_fits(frames: int, need: MemoryNeed, free: int) -> int:
    """So many frames, or half of them again and again, until decoding them fits beside the weights."""
    while frames > 1 and need.beside_weights(frames) > free:
        frames = (frames + 1) // 2
    return frames


def require_free(
    estimate: Callable[[], MemoryNeed],
    weights: int,
    device: torch.device,
    rest: str,
    do: str,
    free: int | None = None,
) -> None:
    """Compare a run's need with what its device has left; nothing is estimated where the device does not say.

    Args:
        estimate: gives the need.
        weights: bytes of weights that the device does not hold yet.
        device: that will compute.
        rest: what the need beside weights and video is for, in words.
        do: what to do where it does not fit.
        free: bytes left on the device; None asks the device.

    Raises:
        InputError: it does not fit.
    """
    free = free_bytes(device) if free is None else free
    if free is None:
        return
    need = estimate()
    wanted = weights + need.beside_weights(1)
    if wanted > free:
        raise InputError(
            got=f"{_gigabytes(free)} free on {device}, for a run that needs about {_gigabytes(wanted)} "
            f"there: {_gigabytes(weights)} for weights, {_gigabytes(need.video)} for {rest}",
            allowed="a device with as much free memory",
            do=do,
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
