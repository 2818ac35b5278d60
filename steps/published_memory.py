"""How much memory a run of a model of published weights will need, found out before it starts.

As in memory.py, voice encoder, ReferenceNet, one prediction of a clip or window, and the decoder run once on
torch's `meta` device at the sizes of the run. What grows with the voice is counted apart: its features, and
where the whole video is denoised together, the latents of all frames.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..models.build import EmoNetworks, build_networks
from ..models.checkpoints.emo import LoadedModel
from ..models.config import LATENT_DOWNSCALE, EmoConfig
from ..models.picture_autoencoder import PictureAutoencoder
from ..models.region_audio import VoiceRegions
from ..models.voice_encoder import SAMPLE_RATE_HZ
from .guidance import Halves, picture_features, prepare_halves
from .memory import LivingTensors, MemoryNeed, require_free
from .published_sampling import generated_frame_count
from .published_talk import require_complete, require_voice_driven
from .timeline import Timeline
from .voice_rows import voice_rows

# Latents of the whole video that a loop over windows holds at once: its noise, the sample before and after a
# step, the sum of predictions, their mean, and the clean latents that they mean.
_LATENTS_HELD = 6


class FusedAttention(TorchFunctionMode):
    """Attention takes its result only, as the kernels of CPUs and cards do that never store the weights."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            named = {**dict(zip(("query", "key", "value"), args, strict=False)), **(kwargs or {})}
            queries, values = named["query"], named["value"]
            return queries.new_empty(*queries.shape[:-1], values.shape[-1])
        return func(*args, **(kwargs or {}))


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
    count = generated_frame_count(config, timeline)
    samples = round(timeline.duration_s * SAMPLE_RATE_HZ)
    row_shape, heard = _hearing(networks, samples, count, timeline)
    rows = count * row_shape[0] * row_shape[1] * dtype.itemsize
    peaks = [_sampling(config, row_shape, guided, dtype), heard - rows, decode]
    held = rows
    if config.loop.kind == "windows":
        tokens, projecting = _projecting(config, (1, count, *row_shape), dtype)
        defaults, channels = config.defaults, config.spatial.latent_channels
        places = defaults.height_px * defaults.width_px // LATENT_DOWNSCALE**2
        latents = _LATENTS_HELD * count * channels * places * dtype.itemsize
        peaks.append(projecting)
        held += tokens + latents
    return MemoryNeed(weights, max(peaks), 0, held)


def _with_peak(work: Callable[[], Any]) -> tuple[Any, int]:
    """What some work on the meta device gives, and the bytes in use at its height."""
    with torch.inference_mode(), FusedAttention(), LivingTensors() as living:
        result = work()
        return result, living.peak


def _hearing(
    networks: EmoNetworks, samples: int, count: int, timeline: Timeline
) -> tuple[tuple[int, int], int]:
    """Rows and width of what a frame hears, and the peak while the whole voice is encoded."""
    encoder = networks.voice_encoder
    with torch.device("meta"):
        bare = type(encoder)(encoder.config).eval()  # type: ignore[union-attr,arg-type]
    voice = torch.empty(samples, device="meta")
    rows, peak = _with_peak(
        lambda: voice_rows(bare, voice, count, timeline.fps, networks.config.audio)  # type: ignore[arg-type]
    )
    return (rows.shape[2], rows.shape[3]), peak


@lru_cache(maxsize=4)
def _decoding(config: EmoConfig, channels: tuple[int, ...], norm_groups: int) -> int:
    """The peak while a clip is decoded, picture by picture."""
    defaults, frames = config.defaults, config.temporal.frames_per_clip
    with torch.device("meta"):
        autoencoder = PictureAutoencoder(channels, norm_groups).eval()
        side = (defaults.height_px // LATENT_DOWNSCALE, defaults.width_px // LATENT_DOWNSCALE)
        latents = torch.empty(frames, config.spatial.latent_channels, *side)
    return _with_peak(lambda: autoencoder.decode(latents))[1]


@lru_cache(maxsize=4)
def _projecting(config: EmoConfig, rows: tuple[int, ...], dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of the tokens of all frames, and the peak while they are made of rows of this shape."""
    networks = build_networks(config, "meta").to(dtype)
    heard = torch.empty(rows, dtype=dtype, device="meta")
    tokens, peak = _with_peak(lambda: networks.audio_projection(heard))
    return (0 if tokens is heard else tokens.numel() * dtype.itemsize), peak


@lru_cache(maxsize=4)
def _sampling(config: EmoConfig, row_shape: tuple[int, int], guided: bool, dtype: torch.dtype) -> int:
    """The peak of a step of a clip or window."""
    networks = build_networks(config, "meta").to(dtype)
    return _with_peak(lambda: _predict_once(networks, row_shape, guided))[1]


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
