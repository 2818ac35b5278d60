"""The recorded denoising steps of published families: what they were given, to be predicted and changed."""

from dataclasses import dataclass, replace

import torch
from families import SMALL, frames_first, recorded, small_networks
from torch import Tensor

from comfyui_emo.models.build import EmoNetworks
from comfyui_emo.models.region_audio import VoiceRegions
from comfyui_emo.steps.guidance import HalfFeatures, picture_features, prepare_halves

Features = tuple[HalfFeatures, HalfFeatures | None]


@dataclass(frozen=True, eq=False)
class RecordedStep:
    """What one guided step was given.

    Attributes:
        networks: with the recorded weights.
        pictures: latents of the portrait and the motion frames [1 + n, C, h, w].
        identity: a face embedding [1, E], or None.
        voice: tokens [1, F, T, W].
        mask: what the locator reads [1, F or 1, c, H, W]; None: its features are zero.
        regions: where Hallo hears the voice, or None.
        latents: noisy ones [1, F, C, h, w].
        timestep: a number.
    """

    networks: EmoNetworks
    pictures: Tensor
    identity: Tensor | None
    voice: Tensor
    mask: Tensor | None
    regions: VoiceRegions | None
    latents: Tensor
    timestep: int = 637

    def features(self) -> Features:
        """What both halves have of the pictures."""
        return picture_features(self.networks, self.pictures, self.identity, guided=True)

    @torch.no_grad()
    def rows(self, features: Features | None = None) -> Tensor:
        """Predictions of both halves [2, F, C, h, w], the unconditional one first."""
        seen = features or self.features()
        both = prepare_halves(self.networks, seen, self.voice, self.mask, self.regions)
        assert both.unconditional is not None
        t, backbone = torch.tensor([self.timestep]), self.networks.backbone
        return torch.cat(
            [backbone(self.latents, t, half) for half in (both.unconditional, both.conditional)]
        )

    def changed(self, **values: object) -> "RecordedStep":
        """The same step but for this."""
        return replace(self, **values)  # type: ignore[arg-type]


_NAMES = {  # of the voice's and the locator's inputs
    "hallo": ("audio_window", "face_mask_image"),
    "echomimic": ("audio_chunks", "face_mask"),
    "v-express": ("audio_windows", "kps_image"),
}


@torch.no_grad()
def recorded_step(name: str, networks: EmoNetworks | None = None) -> RecordedStep:
    """The recorded step of a family, with reference features in float32 unless other networks are given."""
    networks = networks or small_networks(SMALL[name], half_precision=False)
    given = recorded(name, "unit_inputs")
    heard, located = (given[key] for key in _NAMES[name])
    rows = heard.flatten(3) if name == "hallo" else heard.unflatten(0, (1, -1)) if heard.ndim == 3 else heard
    regions = None
    if name == "hallo":
        masks = [
            torch.stack([given[f"mask_{kind}_{i}"] for kind in ("full", "face", "lip")]) for i in range(4)
        ]
        full, face, lip = given["motion_scale"].tolist()
        regions = VoiceRegions(tuple(masks), (full, face, lip))
    return RecordedStep(
        networks,
        given["ref_latents"],
        given.get("face_emb"),
        networks.audio_projection(rows),
        frames_first(located),
        regions,
        frames_first(given["latents"]),
    )
