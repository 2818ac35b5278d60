"""Files that families need beside their own: voice encoders and the picture autoencoder, as published."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ...errors import WeightsError
from ..picture_autoencoder import PictureAutoencoder
from ..spectrogram_encoder import SpectrogramEncoder, SpectrogramEncoderConfig
from ..voice_encoder import VoiceEncoder, VoiceEncoderConfig
from .detect import seems_to_be
from .weight_source import StoredTensor, WeightSource

_WAV2VEC2_NAMES = (
    (r"^(wav2vec2\.|wav2vec\.)?", r"wav2vec2."),
    (r"\.weight_g$", r".parametrizations.weight.original0"),
    (r"\.weight_v$", r".parametrizations.weight.original1"),
)
_WHISPER_NAMES = (
    (r"^(model\.)?encoder\.", r"encoder."),
    (r"\.positional_embedding$", r".embed_positions.weight"),
    (r"^encoder\.blocks\.", r"encoder.layers."),
    (r"\.attn\.query\.", r".self_attn.q_proj."),
    (r"\.attn\.key\.", r".self_attn.k_proj."),
    (r"\.attn\.value\.", r".self_attn.v_proj."),
    (r"\.attn\.out\.", r".self_attn.out_proj."),
    (r"\.attn_ln\.", r".self_attn_layer_norm."),
    (r"\.mlp\.0\.", r".fc1."),
    (r"\.mlp\.2\.", r".fc2."),
    (r"\.mlp_ln\.", r".final_layer_norm."),
    (r"^encoder\.ln_post\.", r"encoder.layer_norm."),
)


@dataclass(frozen=True)
class _Layout:
    """How a published file is read: what is taken of it, and under which names."""

    title: str
    taken: str
    names: tuple[tuple[str, str], ...]
    source: str


_WAV2VEC2 = _Layout(
    "wav2vec2-base-960h",
    r"^(wav2vec2\.|wav2vec\.)?(encoder|feature_extractor|feature_projection)\.",
    _WAV2VEC2_NAMES,
    "https://huggingface.co/facebook/wav2vec2-base-960h",
)
_WHISPER = _Layout(
    "whisper-tiny",
    r"^(model\.)?encoder\.",
    _WHISPER_NAMES,
    "https://huggingface.co/openai/whisper-tiny",
)
_AUTOENCODER = _Layout(
    "sd-vae-ft-mse",
    r"^(encoder|decoder|quant_conv|post_quant_conv)\.",
    (
        (r"^", r"vae."),
        # The names of diffusers before 0.12, which the published file keeps.
        (r"\.query\.", r".to_q."),
        (r"\.key\.", r".to_k."),
        (r"\.value\.", r".to_v."),
        (r"\.proj_attn\.", r".to_out.0."),
    ),
    "https://huggingface.co/stabilityai/sd-vae-ft-mse",
)


def is_autoencoder(source: WeightSource) -> bool:
    """Whether a file holds a picture autoencoder in diffusers' layout."""
    return "post_quant_conv.weight" in source.tensors


def autoencoder_from(
    source: WeightSource, autoencoder: PictureAutoencoder | None = None
) -> PictureAutoencoder:
    """The picture autoencoder from a published file; without one to fill, of the published size.

    Raises:
        WeightsError: it holds something else.
    """
    filled = autoencoder or PictureAutoencoder()
    _fill(filled, source, _AUTOENCODER)
    return filled


def is_wav2vec2(source: WeightSource) -> bool:
    """Whether a file holds a wav2vec 2.0 encoder."""
    return any(name.endswith("feature_extractor.conv_layers.0.conv.weight") for name in source.tensors)


def is_whisper(source: WeightSource) -> bool:
    """Whether a file holds a whisper encoder."""
    return any(
        re.search(r"^(model\.)?encoder\.(positional_embedding|embed_positions)", name)
        for name in source.tensors
    )


def wav2vec2_from(source: WeightSource, config: VoiceEncoderConfig | None = None) -> VoiceEncoder:
    """A wav2vec 2.0 encoder from a published file; without a configuration, wav2vec2-base's.

    Raises:
        WeightsError: it holds something else.
    """
    encoder = VoiceEncoder(config or VoiceEncoderConfig.wav2vec2_base())
    _fill(encoder, source, _WAV2VEC2)
    return encoder


def whisper_from(source: WeightSource, config: SpectrogramEncoderConfig | None = None) -> SpectrogramEncoder:
    """A whisper encoder from a published file; without a configuration, whisper-tiny's.

    Raises:
        WeightsError: it holds something else.
    """
    encoder = SpectrogramEncoder(config or SpectrogramEncoderConfig())
    _fill(encoder, source, _WHISPER)
    return encoder


def _renamed(source: WeightSource, layout: _Layout) -> Mapping[str, StoredTensor]:
    tensors = {}
    for name, tensor in source.tensors.items():
        if re.search(layout.taken, name):
            for pattern, replacement in layout.names:
                name = re.sub(pattern, replacement, name)
            tensors[name] = tensor
    return tensors


def _fill(encoder: nn.Module, source: WeightSource, layout: _Layout) -> None:
    tensors = _renamed(source, layout)
    expected = encoder.state_dict()
    missing = expected.keys() - tensors.keys()
    shapes = {name: tuple(value.shape) for name, value in expected.items()}
    wrong = [name for name, tensor in tensors.items() if shapes.get(name) != tensor.shape]
    if missing or wrong:
        kind = seems_to_be({name: tensor.shape for name, tensor in source.tensors.items()})
        raise WeightsError(
            got=f"{source.path}, which seems to be {kind}: {len(missing)} tensors of {layout.title} are "
            f"missing {sorted(missing)[:2]}, {len(wrong)} do not fit {sorted(wrong)[:2]}",
            allowed=f"{layout.title} as published",
            do=f"fetch it from {layout.source}",
        )
    with torch.no_grad():
        read = {name: tensor.read().float() for name, tensor in tensors.items()}
        encoder.load_state_dict(read, strict=False)
    encoder.eval().requires_grad_(False)
