"""From a configuration to networks."""

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from .audio_layers import AudioProjection
from .autoencoder import Autoencoder
from .backbone import Backbone
from .config import EmoConfig
from .identity_tokens import IdentityProjection
from .reference_net import ReferenceNet
from .voice_encoder import VoiceEncoder
from .voice_resampler import VoiceResampler

if TYPE_CHECKING:
    from .picture_autoencoder import PictureAutoencoder
    from .spectrogram_encoder import SpectrogramEncoder

Module = TypeVar("Module", bound=nn.Module)


class EmoNetworks(nn.Module):
    """The networks of a model, side by side.

    Attributes:
        audio_projection: windows of voice features -> tokens.
        identity_projection: face embedding -> identity tokens; None where the model has none.
        autoencoder, voice_encoder: None for a model that uses files of their own, until these are loaded.
    """

    def __init__(self, config: EmoConfig):
        super().__init__()
        self.config = config
        self.reference_net = ReferenceNet(config)
        self.backbone = Backbone(config)
        self.audio_projection = build_audio_projection(config)
        context = config.context
        self.identity_projection = None
        if context is not None and context.embedding_width is not None:
            self.identity_projection = IdentityProjection(context, context.embedding_width)
        self.autoencoder: Autoencoder | PictureAutoencoder | None
        self.voice_encoder: VoiceEncoder | SpectrogramEncoder | None
        self.autoencoder = None if config.autoencoder is None else Autoencoder(config.autoencoder)
        self.voice_encoder = None if config.voice_encoder is None else VoiceEncoder(config.voice_encoder)


def build_audio_projection(config: EmoConfig) -> nn.Module:
    """What makes tokens of what frames hear: as EmoNetworks has it."""
    audio = config.audio
    if audio.projection == "linear":
        return AudioProjection(audio)
    if audio.projection == "resampler" and config.resampler is not None:
        return VoiceResampler(audio, config.resampler)
    return nn.Identity()


def build_networks(config: EmoConfig, device: str | torch.device = "cpu") -> EmoNetworks:
    """Networks with fresh weights, in eval mode; on the `meta` device nothing is allocated."""
    with torch.device(device):
        return EmoNetworks(config).eval()


def denoise_in(networks: EmoNetworks, dtype: torch.dtype) -> None:
    """Bring the networks that denoise to a dtype; autoencoder and voice encoder stay in float32."""
    for name, part in networks.named_children():
        if name not in ("autoencoder", "voice_encoder"):
            part.to(dtype)


def channels_last(module: Module) -> Module:
    """The module with its convolutions' weights in channels-last order, which is the faster one on a CPU."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def parameter_count(module: nn.Module) -> int:
    """Parameters of a module, in all."""
    return sum(parameter.numel() for parameter in module.parameters())
