"""The form of a table that describes published weights of this skeleton: a configuration and a key map."""

import re
from dataclasses import dataclass
from functools import cached_property

from ..config import EmoConfig

# AnimateDiff's names, which every public checkpoint of this skeleton has kept, and ours.
TEMPORAL_NAMES = (
    (r"\.temporal_transformer\.(?:transformer_blocks\.0\.)?", r"."),
    (r"\.attention_blocks\.(\d)\.pos_encoder\.pe$", r".positions_\1"),
    (r"\.attention_blocks\.", r".attentions."),
    (r"\.norms\.", r".attention_norms."),
)


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published layout.

    Attributes:
        name: its published name without the ending.
        part: what is put before its tensors' names, so that the key map can tell the files apart.
        by_name: whether it is only told by its name, because another file has the same tensors.
    """

    name: str
    part: str = ""
    by_name: bool = False


@dataclass(frozen=True)
class ExternalFile:
    """A file that a family needs and does not publish itself.

    Attributes:
        name: what it is called.
        folder: the folder of ComfyUI's models that it belongs to.
        source: where it is published.
        licence: of the weights.
        path: pattern that its path fits in a folder where others of its form lie, too.
    """

    name: str
    folder: str
    source: str
    licence: str
    path: str


PICTURE_AUTOENCODER = ExternalFile(
    "sd-vae-ft-mse", "models/vae", "https://huggingface.co/stabilityai/sd-vae-ft-mse", "MIT", r"ft[-_]mse"
)
WAV2VEC2 = ExternalFile(
    "wav2vec2-base-960h",
    "models/audio_encoders",
    "https://huggingface.co/facebook/wav2vec2-base-960h",
    "Apache-2.0",
    r"wav2vec2?[-_]base[-_]960h",
)
WHISPER_TINY = ExternalFile(
    "whisper-tiny",
    "models/audio_encoders",
    "https://huggingface.co/openai/whisper-tiny",
    "MIT",
    r"whisper[-_]tiny",
)


def voice_encoder_file(config: EmoConfig) -> ExternalFile:
    """The published voice encoder that a configuration listens with."""
    return WHISPER_TINY if config.audio.features == "spectrogram" else WAV2VEC2


@dataclass(frozen=True)
class Family:
    """Published weights, as a table.

    Attributes:
        name: short name.
        title: name as its authors write it.
        licence: of the weights.
        source: where the files are published.
        good_at: what a user would choose it for.
        config: the networks and how they are sampled.
        layouts: the files that hold them; each layout is complete by itself.
        names: (pattern, replacement) from published to own tensor names, applied in this order.
        unused: patterns of published names that the family's own code never uses.
        external: what else is needed.
    """

    name: str
    title: str
    licence: str
    source: str
    good_at: str
    config: EmoConfig
    layouts: tuple[tuple[PublishedFile, ...], ...]
    names: tuple[tuple[str, str], ...]
    unused: tuple[str, ...] = ()
    external: tuple[ExternalFile, ...] = ()

    @property
    def hears(self) -> bool:
        """Whether a voice moves the face."""
        return self.config.audio.features != "none"

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        return [(re.compile(pattern), replacement) for pattern, replacement in self.names]

    def own_name(self, published: str) -> str | None:
        """A published tensor name, its file's part in front -> the name in `EmoNetworks`; None: unused."""
        if any(re.search(pattern, published) for pattern in self.unused):
            return None
        for pattern, replacement in self._patterns:
            published = pattern.sub(replacement, published)
        return published
