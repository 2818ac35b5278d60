"""The Backbone (paper, section 3.2): the denoising UNet over the frames of a clip, and its conditions."""

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from .attention import zero_parameters
from .conditions import ClipConditions, SiteConditions
from .config import EmoConfig
from .face_locator import FaceLocator
from .reference_net import SiteFeatures
from .region_audio import VoiceRegions
from .skeleton import Site, Skeleton
from .spatial import grid_squared_distances
from .temporal import TemporalModule


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
        portrait: tuple[SiteFeatures, ...] | None,
        motion: tuple[Tensor, ...] | None,
        voice_tokens: Tensor | None,
        mask: Tensor | None,
        speed: Tensor | None,
        context: Tensor | None = None,
        regions: VoiceRegions | None = None,
    ) -> ClipConditions:
        """Project the conditions of a clip once, for all of its denoising steps.

        Args:
            portrait: the ReferenceNet's features of the portrait, a row a clip (or as the configuration's
                `in_turn` says); None: no portrait, the unconditional half of guidance on it.
            motion: the ReferenceNet's features of the motion frames, [B, n, C, h, w] a site; None for the
                first clip, whose motion features are zero maps (paper, section 3.3).
            voice_tokens: from `AudioProjection` [B, F, T, W]; None: no voice.
            mask: the face region [B, c, s*h, s*w], or one for every frame [B, F, c, s*h, s*w]; None: the
                face may be anywhere.
            speed: from `speed_buckets` [B, F, (2m+1)*d]; None: no speed given.
            context: identity tokens [B, T, W]; None: none.
            regions: where the voice is heard, in a model that hears it region by region.

        Raises:
            InputError: no regions for a model that needs them.
        """
        if regions is None and any(site.audio is not None for site in self.sites):
            raise InputError(
                got="no voice regions",
                allowed="the masks of the whole picture, the face and the lips",
                do="make them of the face region",
            )
        sites = []
        if portrait is not None:
            portrait = tuple(site.to(self.dtype) for site in portrait)
        for index, site in enumerate(self.sites):
            features = None if portrait is None else portrait[index]
            moved = None if motion is None else motion[index]
            conditions = self._prepare_transformer(site, features, voice_tokens, context)
            if site.audio is not None and regions is not None:
                masks = regions.masks[site.depth]
                heard = site.audio.block.prepare(voice_tokens, masks, regions.weights)
                conditions = replace(conditions, regions=heard)
            if site.temporal is not None:
                conditions = self._prepare_temporal(site.temporal, conditions, features, moved, speed)
            sites.append(conditions)
        return ClipConditions(tuple(sites), None if mask is None else self.locate(mask))

    def _prepare_transformer(
        self, site: Site, features: SiteFeatures | None, voice: Tensor | None, context: Tensor | None
    ) -> SiteConditions:
        if site.transformer is None:
            return SiteConditions()
        block = site.transformer.block
        reference = None
        added = None
        if features is not None:
            added = site.transformer.added(features.reference_map(), features.appearance)
        if features is not None and features.reference is not None:
            height, width = features.output.shape[-2:]
            distances = grid_squared_distances(height, width, features.output.device)
            positions = site.transformer.positions(features.output)
            reference = block.project_reference(features.reference, positions, distances)
        return SiteConditions(
            reference=reference,
            added=added,
            voice=None if voice is None or block.audio is None else block.audio.project(voice),
            context=None if context is None or block.context is None else block.context.project(context),
        )

    def _prepare_temporal(
        self,
        temporal: TemporalModule,
        conditions: SiteConditions,
        features: SiteFeatures | None,
        motion: Tensor | None,
        speed: Tensor | None,
    ) -> SiteConditions:
        if motion is None and self.motion_frames and features is not None:
            output = features.output
            motion = output.new_zeros(len(output), self.motion_frames, *output.shape[1:])
        told = None
        if speed is not None and temporal.speed is not None:
            told = temporal.speed.project(speed.to(self.dtype))
        moved = None if motion is None else temporal.motion_tokens(motion)
        return replace(conditions, motion=moved, speed=told)

    def without_motion(self, conditions: ClipConditions) -> ClipConditions:
        """The same conditions for a clip that does not know the frames before it."""
        sites = []
        for site, seen in zip(self.sites, conditions.sites, strict=True):
            if site.temporal is not None and seen.motion is not None:
                seen = replace(seen, motion=site.temporal.no_motion_tokens(seen.motion))
            sites.append(seen)
        return replace(conditions, sites=tuple(sites))

    def hear(
        self, conditions: ClipConditions, voice_tokens: Tensor | None, face: Tensor | None
    ) -> ClipConditions:
        """The conditions of a window of a long clip: another voice [B, F, T, W] and located face.

        For models that hear the voice in their transformer blocks; everything else is kept as projected.
        """
        sites = [
            site
            if layers.transformer is None or layers.transformer.block.audio is None or voice_tokens is None
            else replace(site, voice=layers.transformer.block.audio.project(voice_tokens))
            for layers, site in zip(self.sites, conditions.sites, strict=True)
        ]
        return ClipConditions(tuple(sites), face)

    def locate(self, mask: Tensor) -> Tensor:
        """Mask [B, c, H, W] or [B, F, c, H, W] -> the locator's output [B, 1 or F, C, h, w]."""
        frames = mask[:, None] if mask.ndim == 4 else mask
        return self.face_locator(frames.flatten(0, 1).to(self.dtype)).unflatten(0, frames.shape[:2])

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
        sites = self.sites

        def visit(index: int, hidden: Tensor) -> Tensor:
            layers, site = sites[index], conditions.sites[index]
            if layers.transformer is not None:
                hidden = layers.transformer.read(hidden, site)
            if layers.audio is not None and site.regions is not None:
                hidden = layers.audio(hidden, site.regions)
            if temporal and layers.temporal is not None:
                hidden = layers.temporal(hidden, frame_count, site.motion, site.speed)
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
            latents = latents + face
        hidden = self.conv_in(latents.flatten(0, 1))
        if face is not None and self.place == "conv_in":
            hidden = (hidden.unflatten(0, latents.shape[:2]) + face).flatten(0, 1)
        return hidden
