"""What both halves of guidance read, for models whose unconditional half knows neither portrait nor voice."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..models.backbone import Backbone
from ..models.build import EmoNetworks
from ..models.conditions import ClipConditions
from ..models.reference_net import SiteFeatures
from ..models.region_audio import VoiceRegions
from .sampling import OnStep, no_step
from .schedulers import predicted_clean


@dataclass(frozen=True, eq=False)
class HalfFeatures:
    """What one half of guidance has of the pictures.

    Attributes:
        portrait: the ReferenceNet's features of the portrait; None: this half does not see it.
        motion: of the motion frames [1, n, C, h, w] a site; None for a model without.
        context: identity tokens [1, T, W]; None for a model without.
    """

    portrait: tuple[SiteFeatures, ...] | None
    motion: tuple[Tensor, ...] | None
    context: Tensor | None


@dataclass(frozen=True, eq=False)
class Halves:
    """The conditions of both halves; `unconditional` is None where there is no guidance."""

    conditional: ClipConditions
    unconditional: ClipConditions | None

    def predict(self, backbone: Backbone, x: Tensor, t: Tensor, guidance: float) -> Tensor:
        """u + g * (c - u) for noisy latents x [1, F, C, h, w] at timestep t."""
        timestep = t.reshape(1).to(x.device)
        c = backbone(x, timestep, self.conditional)
        if self.unconditional is None:
            return c
        u = backbone(x, timestep, self.unconditional)
        return u + guidance * (c - u)


def identity_tokens(networks: EmoNetworks, identity: Tensor | None, guided: bool) -> Tensor | None:
    """Identity tokens of the halves [2 or 1, T, W], the unconditional one first.

    Args:
        networks: with or without a projection of face embeddings.
        identity: the portrait's face embedding [1, E], or tokens [1, T, W] for a model that takes them as
            they are; None: no known face, zeros.
        guided: whether there is an unconditional half.
    """
    context = networks.config.context
    if context is None or not context.in_backbone:
        return None
    width = context.embedding_width
    shape = (1, context.tokens, context.token_width) if width is None else (1, width)
    projection = networks.identity_projection
    like = networks.backbone.conv_in.weight if projection is None else projection.proj.weight
    nobody = like.new_zeros(shape)
    known = nobody if identity is None else identity.to(nobody)
    given = torch.cat([nobody, known]) if guided else known
    return given if projection is None else projection(given).to(networks.backbone.dtype)


@torch.inference_mode()
def picture_features(
    networks: EmoNetworks, pictures: Tensor, identity: Tensor | None, guided: bool
) -> tuple[HalfFeatures, HalfFeatures | None]:
    """Run the ReferenceNet for the conditional and the unconditional half.

    The halves differ in their identity tokens only, so a model without them runs once. Where there are
    tokens the rows are [portrait and motion frames, again], and row r takes token set r modulo 2: so were the
    public weights of this kind trained and run.

    Args:
        networks: the model's.
        pictures: latents of the portrait and the motion frames [1 + n, C, h, w].
        identity: see `identity_tokens`.
        guided: whether there is an unconditional half.
    """
    tokens = identity_tokens(networks, identity, guided)
    halves = 1 if tokens is None else len(tokens)
    count = len(pictures)
    rows = None if tokens is None else tokens.repeat(count, 1, 1)
    sites = networks.reference_net(pictures.repeat(halves, 1, 1, 1), rows)
    own_half = (halves - 1) * count
    in_turn = networks.config.reference.in_turn
    seen = [half * count for half in range(halves)] if in_turn else [own_half]
    portrait = tuple(_rows(site, seen) for site in sites)
    conditional = HalfFeatures(
        portrait, _motion(sites, own_half, count), None if tokens is None else tokens[-1:]
    )
    if not guided:
        return conditional, None
    return conditional, HalfFeatures(None, _motion(sites, 0, count), None if tokens is None else tokens[:1])


def _rows(site: SiteFeatures, rows: list[int]) -> SiteFeatures:
    return SiteFeatures(None if site.reference is None else site.reference[rows], site.output[rows])


def _motion(sites: tuple[SiteFeatures, ...], first: int, count: int) -> tuple[Tensor, ...] | None:
    if count == 1:
        return None
    return tuple(site.reference_map()[None, first + 1 : first + count] for site in sites)


@torch.inference_mode()
def prepare_halves(
    networks: EmoNetworks,
    features: tuple[HalfFeatures, HalfFeatures | None],
    voice_tokens: Tensor | None,
    mask: Tensor | None,
    regions: VoiceRegions | None = None,
) -> Halves:
    """Project the conditions of a clip for both halves; the unconditional one hears and is told nothing."""

    def prepared(half: HalfFeatures, voice: Tensor | None, face: Tensor | None) -> ClipConditions:
        return networks.backbone.prepare(half.portrait, half.motion, voice, face, None, half.context, regions)

    conditional, unconditional = features
    told = mask if networks.config.locator.guides else None
    return Halves(
        prepared(conditional, voice_tokens, mask),
        None if unconditional is None else prepared(unconditional, None, told),
    )


@torch.inference_mode()
def denoise_halves(
    backbone: Backbone,
    noise: Tensor,
    halves: Halves,
    scheduler: Any,
    guidance: float,
    on_step: OnStep = no_step,
) -> Tensor:
    """From noise [1, F, C, h, w] to one clip's latents; the scheduler has its timesteps set."""
    x = noise * scheduler.init_noise_sigma
    for step, t in enumerate(scheduler.timesteps, start=1):
        x_in = scheduler.scale_model_input(x, t)
        v = halves.predict(backbone, x_in, t, guidance)
        x = scheduler.step(v, t, x).prev_sample
        on_step(step, predicted_clean(scheduler, x_in, v, t))
    return x
