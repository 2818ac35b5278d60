"""How much memory a run of a model of published weights will need, found out before it starts.

As in memory.py, ReferenceNet, one prediction of a clip or window, and the decoder run once on torch's `meta`
device at the sizes of the run. What grows with the voice, voice_memory.py counts.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..models.build import EmoNetworks, build_networks
from ..models.checkpoints.emo import LoadedModel
from ..models.config import LATENT_DOWNSCALE, EmoConfig
from ..models.picture_autoencoder import PictureAutoencoder
from ..models.region_audio import VoiceRegions
from .guidance import Halves, picture_features, prepare_halves
from .memory import MemoryNeed, free_bytes, require_free
from .published_talk import require_complete, require_voice_driven
from .timeline import Timeline
from .voice_memory import voice_need, with_peak


def require_memory(
    model: LoadedModel, timeline: Timeline, device: torch.device, guided: bool, free: int | None = None
) -> None:
    """Whether a device can hold a run of a model of published weights.

    Args:
        model: whose networks are wherever they are now; those on the device itself are counted no more.
        timeline: of the voice.
        device: that will compute.
        guided: whether the sampler uses guidance.
        free: bytes left on the device; None asks the device.

    Raises:
        InputError: it does not fit.
        WeightsError, InputError: the model is not complete, or wants more than a voice.
    """
    require_voice_driven(model.config)
    require_complete(model, "autoencoder", "voice_encoder")
    together = "window" if model.config.loop.kind == "windows" else "clip"
    frames = model.config.temporal.frames_per_clip
    require_free(
        lambda: estimate_published(model.networks, timeline, guided),
        weights_elsewhere(model.networks, device),
        device,
        f"{timeline.duration_s:.0f} s of voice, the rest for a {together} of {frames} frames",
        "use a shorter voice, compute in float16 or on another device, or close other programs",
        free,
    )


def require_room_for_weights(size: int, free: int | None = None) -> None:
    """Whether main memory can hold weights of so many bytes, which are about to be read.

    free: bytes left; None asks the machine.

    Raises:
        InputError: it cannot.
    """
    free = free_bytes(torch.device("cpu")) if free is None else free
    if free is not None and size > free:
        raise InputError(
            got=f"{free / 1e9:.2f} GB of main memory free, for weights that take {size / 1e9:.2f} GB there",
            allowed="a machine with as much free memory",
            do="keep the type of the files (`--dtype float16` for files of float16), which are then read "
            "where they lie, or close other programs",
        )


def room_to_sample(networks: EmoNetworks, rows: Tensor, guided: bool) -> int:
    """Bytes beside the weights that sampling takes; rows are what all frames hear [1, N, rows, D]."""
    dtype = networks.backbone.dtype
    sampling = _sampling(networks.config, (rows.shape[2], rows.shape[3]), guided, dtype)
    return MemoryNeed(0, sampling, 0, rows.numel() * dtype.itemsize).beside_weights(0)


def require_room_to_sample(size: int, device: torch.device, config: EmoConfig) -> None:
    """Raises InputError: a device that holds the weights has less than so many bytes left to sample in."""
    free = free_bytes(device)
    if free is not None and size > free:
        raise InputError(
            got=f"{free / 1e9:.2f} GB free on {device} beside the weights, for sampling with {config.name}, "
            f"which takes about {size / 1e9:.2f} GB",
            allowed="a device with as much free memory",
            do="load the model in float16 or bfloat16, use a shorter voice, or close other programs",
        )


def weights_elsewhere(networks: EmoNetworks, device: torch.device) -> int:
    """Bytes of the weights that are not on a kind of device yet."""
    tensors = (*networks.parameters(), *networks.buffers())
    return sum(part.numel() * part.element_size() for part in tensors if part.device.type != device.type)


def estimate_published(networks: EmoNetworks, timeline: Timeline, guided: bool) -> MemoryNeed:
    """What a run needs beside what libraries take; all weights are counted.

    Args:
        networks: with autoencoder and voice encoder.
        timeline: of the voice.
        guided: whether guidance asks the Backbone a second time.
    """
    config, dtype = networks.config, networks.backbone.dtype
    weights = sum(part.numel() * part.element_size() for part in networks.parameters())
    sizes: Any = networks.autoencoder.vae.config  # type: ignore[union-attr]
    decode = _decoding(config, tuple(sizes["block_out_channels"]), sizes["norm_num_groups"])
    voice = voice_need(networks.voice_encoder, config, timeline, dtype)  # type: ignore[arg-type]
    sampling = _sampling(config, voice.row_shape, guided, dtype)
    return MemoryNeed(weights, max(sampling, voice.working, decode), 0, voice.held)


@lru_cache(maxsize=4)
def _decoding(config: EmoConfig, channels: tuple[int, ...], norm_groups: int) -> int:
    """The peak while a clip is decoded, picture by picture."""
    defaults, frames = config.defaults, config.temporal.frames_per_clip
    with torch.device("meta"):
        autoencoder = PictureAutoencoder(channels, norm_groups).eval()
        side = (defaults.height_px // LATENT_DOWNSCALE, defaults.width_px // LATENT_DOWNSCALE)
        latents = torch.empty(frames, config.spatial.latent_channels, *side)
    return with_peak(lambda: autoencoder.decode(latents))[1]


@lru_cache(maxsize=4)
def _sampling(config: EmoConfig, row_shape: tuple[int, int], guided: bool, dtype: torch.dtype) -> int:
    """The peak of a step of a clip or window."""
    networks = build_networks(config, "meta").to(dtype)
    return with_peak(lambda: _predict_once(networks, row_shape, guided))[1]


def _predict_once(networks: EmoNetworks, row_shape: tuple[int, int], guided: bool) -> Tensor:
    """A prediction of a clip or window as the sampling loops make it."""
    config, like = networks.config, networks.backbone.conv_in.weight
    defaults, frames = config.defaults, config.temporal.frames_per_clip
    height, width = defaults.height_px // LATENT_DOWNSCALE, defaults.width_px // LATENT_DOWNSCALE

    def empty(*shape: int) -> Tensor:
        return like.new_empty(shape)

    pictures = empty(1 + config.temporal.motion_frames, config.spatial.latent_channels, height, width)
    features = picture_features(networks, pictures, None, guided)
    tokens = networks.audio_projection(empty(1, frames, *row_shape))
    mask = empty(1, config.locator.channels_in, defaults.height_px, defaults.width_px)
    regions = None
    if config.audio.place == "module":
        depths = range(len(config.spatial.channels))
        regions = VoiceRegions(tuple(empty(3, 1, (height >> depth) * (width >> depth)) for depth in depths))
    halves: Halves = prepare_halves(networks, features, tokens, mask, regions)
    noise = empty(1, frames, config.spatial.latent_channels, height, width)
    return halves.predict(networks.backbone, noise, like.new_zeros(()), defaults.voice_guidance)
