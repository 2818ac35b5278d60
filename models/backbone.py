"""The Backbone (paper, section 3.2): the denoising UNet over the frames of a clip, and its conditions."""

from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional as F

from .attention import KeyValue, zero_parameters
from .config import EmoConfig
from .face_locator import FaceLocator
from .reference_net import SiteFeatures
from .skeleton import Skeleton


@dataclass(frozen=True)
class SiteConditions:
    """What one site reads while a clip is denoised, already projected.

    Attributes:
        reference: keys and values of the portrait, a row a clip; None: no portrait.
        voice: keys and values of the voice, a row a frame; None: no voice.
        motion: tokens of the motion frames [B*h*w, n, C].
        speed: keys and values of the head speed over the frames, a row a clip; None: no speed given.
    """

    reference: KeyValue | None
    voice: KeyValue | None
    motion: Tensor | None
    speed: KeyValue | None


@dataclass(frozen=True)
class ClipConditions:
    """Everything that stays the same over the denoising steps of a clip.

    Attributes:
        sites: the conditions of every site, in the order of the walk.
        face: the face locator's output [B, C, h, w]; None: the face may be anywhere.
    """

    sites: tuple[SiteConditions, ...]
    face: Tensor | None

    def without_voice(self) -> "ClipConditions":
        """The unconditional half of guidance on the voice; nothing is computed again for it."""
        return replace(self, sites=tuple(replace(site, voice=None) for site in self.sites))

    def without_portrait(self) -> "ClipConditions":
        """The unconditional half of guidance on the portrait."""
        return replace(self, sites=tuple(replace(site, reference=None) for site in self.sites))


class Backbone(Skeleton):
    """Noisy latents of a clip and its conditions -> the predicted noise or velocity."""

    def __init__(self, config: EmoConfig):
        super().__init__(config, reads=True)
        spatial = config.spatial
        self.place = config.locator.place
        channels_located = spatial.channels[0] if self.place == "conv_in" else spatial.latent_channels
        self.face_locator = FaceLocator(config.locator, channels_located)
        self.conv_norm_out = nn.GroupNorm(spatial.norm_groups, spatial.channels[0], eps=1e-5)
        self.conv_out = nn.Conv2d(spatial.channels[0], spatial.latent_channels, 3, padding=1)
        self.motion_frames = config.temporal.motion_frames
        zero_parameters(self.conv_out)

    def prepare(
        self,
        portrait: tuple[SiteFeatures, ...],
        motion: tuple[Tensor, ...] | None,
        voice_tokens: Tensor | None,
        mask: Tensor | None,
        speed: Tensor | None,
    ) -> ClipConditions:
        """Project the conditions of a clip once, for all of its denoising steps.

        Args:
            portrait: the ReferenceNet's features of the portrait, a row a clip.
            motion: the ReferenceNet's outputs of the motion frames, [B, n, C, h, w] a site; None for the
                first clip, whose motion features are zero maps (paper, section 3.3).
            voice_tokens: from `AudioProjection` [B, F, T, W]; None: no voice.
            mask: the face region [B, 1, s*h, s*w]; None: the face may be anywhere.
            speed: from `speed_buckets` [B, F, (2m+1)*d]; None: no speed given.
        """
        sites = []
        portrait = tuple(site.to(self.dtype) for site in portrait)
        for index, (transformer, temporal) in enumerate(
            zip(self.transformers, self.temporal_modules, strict=True)
        ):
            reference = voice = None
            if transformer is not None:
                reference = self._project_reference(transformer, portrait[index])
                voice = None if voice_tokens is None else transformer.block.audio.project(voice_tokens)
            features = self._motion_features(
                portrait[index].output, None if motion is None else motion[index]
            )
            sites.append(
                SiteConditions(
                    reference=reference,
                    voice=voice,
                    motion=None if features is None else temporal.motion_tokens(features),
                    speed=None if speed is None else temporal.speed.project(speed.to(self.dtype)),
                )
            )
        return ClipConditions(tuple(sites), None if mask is None else self.face_locator(mask.to(self.dtype)))

    def _project_reference(self, transformer, features: SiteFeatures) -> KeyValue:
        return transformer.block.attn2.project(features.reference, transformer.positions(features.output))

    def _motion_features(self, like: Tensor, features: Tensor | None) -> Tensor | None:
        if self.motion_frames == 0 or features is not None:
            return features
        return like.new_zeros(len(like), self.motion_frames, *like.shape[1:])

    def forward(self, latents: Tensor, timesteps: Tensor, conditions: ClipConditions) -> Tensor:
        """Noisy latents [B, F, C, h, w] at timesteps [B] or [1] -> the prediction, in the same dtype."""
        return self._denoise(latents, timesteps, conditions, temporal=True)

    def forward_images(self, latents: Tensor, timesteps: Tensor, conditions: ClipConditions) -> Tensor:
        """The same without the temporal modules: every frame for itself (stage 1 of the training)."""
        return self._denoise(latents, timesteps, conditions, temporal=False)

    def _denoise(
        self, latents: Tensor, timesteps: Tensor, conditions: ClipConditions, temporal: bool
    ) -> Tensor:
        frame_count = latents.shape[1]
        transformers, temporal_modules = self.transformers, self.temporal_modules

        def visit(index: int, hidden: Tensor) -> Tensor:
            site, transformer = conditions.sites[index], transformers[index]
            if transformer is not None:
                hidden = transformer.read(hidden, site.reference, site.voice)
            if temporal:
                hidden = temporal_modules[index](hidden, frame_count, site.motion, site.speed)
            return hidden

        time = self.time_embedding(timesteps)
        if len(time) > 1:
            time = time.repeat_interleave(frame_count, dim=0)
        hidden = self._enter(latents.to(self.dtype), conditions.face)
        hidden = self.walk(hidden, time, visit)
        predicted = self.conv_out(F.silu(self.conv_norm_out(hidden))).unflatten(0, latents.shape[:2])
        return predicted.to(latents.dtype)

    def _enter(self, latents: Tensor, face: Tensor | None) -> Tensor:
        """conv_in with the face locator's output added before or after it -> [B*F, C, h, w]."""
        if face is not None and self.place == "latent":
            latents = latents + face[:, None]
        hidden = self.conv_in(latents.flatten(0, 1))
        if face is not None and self.place == "conv_in":
            hidden = (hidden.unflatten(0, latents.shape[:2]) + face[:, None]).flatten(0, 1)
        return hidden
