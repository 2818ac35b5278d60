"""What travels between the graph's blocks, as frozen dataclasses, and the checks that go with it."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..models.checkpoints.emo import LoadedModel
from ..models.config import EmoConfig, SamplingDefaults
from .face_embedding import check_face_embedding
from .face_guide import FaceGuide, check_count, check_face_guide
from .face_region import FaceRegion, movement_box
from .graph_model import GraphModel, ModelVae
from .graph_published import HostVae, published_latents
from .graph_sound import voice_of_audio
from .graph_tensors import check_latents, images_of_frames, locate_face, portrait_of_image
from .head_motion import HeadMotion, motion_of_style
from .latent_file import gather_latents
from .portrait import FittedPortrait, Portrait
from .published_sampling import PublishedPortrait, portrait_of
from .reference import Reference, reference_of_latents
from .resume import RunFolder
from .sampler_state import SamplerState
from .sampling import OnProgress, first_state, sample_clips
from .sampling_settings import SamplingSettings
from .talk import TalkRequest, fit_to_model, is_published, movement_mask
from .timeline import Timeline

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Face:
    """A face in a picture and the room it may move in (EMO_FACE).

    Attributes:
        region: the face in pixels of the picture.
        picture_px: (width, height) of the picture.
        margin_x: room on the left and on the right as a share of its width; None: what suits the speed.
        margin_y: room above and below as a share of its height; None: what suits the speed.
    """

    region: FaceRegion
    picture_px: tuple[int, int]
    margin_x: float | None = None
    margin_y: float | None = None

    def margins(self, motion: HeadMotion) -> tuple[float, float]:
        """The margins (x, y) given, or those that suit the motion."""
        x, y = (motion.movement_margin if own is None else own for own in (self.margin_x, self.margin_y))
        return x, y

    def movement_box(self, motion: HeadMotion) -> FaceRegion:
        """The box the face may move in, in pixels of the picture."""
        return movement_box(self.region, *self.margins(motion), *self.picture_px)


@dataclass(frozen=True, eq=False)
class PortraitReference:
    """A portrait as a model sees it (EMO_REFERENCE).

    Attributes:
        reference: what the ReferenceNet gives; for a model of published weights, whose ReferenceNet runs with
            the sampler, what it will be given.
        fitted: the portrait at the model's size, and the part of the picture that it shows.
        face: the face in the whole picture.
        model_path: the model that made it.
        vae: the host's, where the model has no autoencoder of its own.
    """

    reference: Reference | PublishedPortrait
    fitted: FittedPortrait
    face: Face
    model_path: Path
    vae: HostVae | None = None

    def movement_mask(self, motion: HeadMotion, config: EmoConfig) -> Tensor:
        """The face locator's mask [1, 1, s*h, s*w], with the face's own margins where they are given."""
        height_px, width_px = self.fitted.pixels.shape[-2:]
        box = movement_box(self.fitted.region, *self.face.margins(motion), width_px, height_px)
        return movement_mask(replace(self.fitted, region=box), replace(motion, margin=0.0), config)


@dataclass(frozen=True, eq=False)
class EncodedVoice:
    """A voice as a model hears it (EMO_AUDIO).

    Attributes:
        features: of all generated frames [1, padded frames, D].
        timeline: the video that belongs to the voice.
        model_path: the model that made it.
    """

    features: Tensor
    timeline: Timeline
    model_path: Path


def check_same_model(model: LoadedModel, *parts: PortraitReference | EncodedVoice) -> None:
    """Raise InputError unless the parts were made by this very model."""
    for part in parts:
        if part.model_path != model.path:
            kind = "portrait" if isinstance(part, PortraitReference) else "voice"
            raise InputError(
                got=f"a {kind} encoded by {part.model_path.name} for the model {model.path.name}",
                allowed="parts that this very model encoded",
                do="connect one EMO model to all blocks",
            )


def settings_of(defaults: SamplingDefaults, seed: int, **chosen: Any) -> SamplingSettings:
    """Sampling settings, with what comes with the model where a block's widget says 0."""
    return SamplingSettings.of(
        defaults, **{name: value for name, value in chosen.items() if value}, seed=seed
    )


def fit_located(portrait: Portrait, face: Face, config: EmoConfig) -> FittedPortrait:
    """The portrait at the model's size, framed around a face that was located in it.

    Raises:
        InputError: the face was located in a picture of another size.
    """
    height_px, width_px = portrait.pixels.shape[-2:]
    if face.picture_px != (width_px, height_px):
        raise InputError(
            got=f"a picture of {width_px}x{height_px} pixels and a face located in one of "
            f"{face.picture_px[0]}x{face.picture_px[1]}",
            allowed="one and the same picture for both",
            do="connect the picture that goes into the face region",
        )
    return fit_to_model(portrait, face.region, config)


def refer(
    model: GraphModel,
    image: Tensor,
    face: Face,
    vae: HostVae | None,
    identity: Tensor | None = None,
    guide: FaceGuide | None = None,
) -> tuple[PortraitReference, Tensor]:
    """A picture [1, H, W, 3] as the model sees it, and the part of it that will be animated, likewise.

    Args:
        model, image, face: the picture, and the face that was located in it.
        vae: encodes the portrait instead of the model's own autoencoder.
        identity: a face embedding [1, E], for a model that takes one; None: no known face.
        guide: how the head moves, for a model that is told; None: it is not given.

    Raises:
        InputError: a face of another picture, latents of another kind, no autoencoder, or an embedding or
            guide that does not suit the model.
    """
    check_face_embedding(identity, model.config)
    check_face_guide(guide, model.config, face.picture_px)
    fitted = fit_located(portrait_of_image(image), face, model.config)
    portrait = images_of_frames(fitted.pixels)
    latents = (vae or ModelVae(model)).encode(portrait)
    check_latents(model, {"samples": latents})
    if is_published(model):
        known = portrait_of(fitted, latents.float().cpu(), model.config, identity, guide)
        return PortraitReference(known, fitted, face, model.path, vae), portrait
    device = model.bring("reference_net")
    reference = reference_of_latents(model.networks, latents.float().to(device))
    return PortraitReference(reference.on(torch.device("cpu")), fitted, face, model.path), portrait


def sample_latents(
    model: GraphModel,
    portrait: PortraitReference,
    voice: EncodedVoice,
    motion: HeadMotion | None,
    settings: SamplingSettings,
    on_progress: OnProgress,
    earlier: Tensor | None,
    run: RunFolder,
) -> Tensor:
    """The latents of all frames [F, C, h, w] on the CPU, as the model's VAE takes them.

    Those of a long video lie in a file beside the run's folder, see latent_file.py.

    Args:
        motion: None: the model's "normal".
        earlier: latents [N, C, h, w] of frames to go on from, as an earlier run gave them.
        run: keeps every clip, and gives those that it kept before; stays when all are sampled.

    Raises:
        InputError: a portrait or voice that another model encoded, latents that cannot be gone on from, a
            device that cannot hold a clip, or a clip that cannot be kept.
    """
    check_same_model(model, portrait, voice)
    if isinstance(portrait.reference, PublishedPortrait):
        _check_published(model, portrait.reference, voice, motion, earlier)
        return published_latents(
            model, portrait.reference, portrait.vae, voice.features, voice.timeline, settings, on_progress,
            run,
        )  # fmt: skip
    motion = motion or motion_of_style("normal", model.config.defaults)
    scale = model.config.latent_scale
    if earlier is not None:
        check_latents(model, {"samples": earlier})
        earlier = (earlier[-model.config.temporal.motion_frames :] * scale)[None]
    mask = portrait.movement_mask(motion, model.config)
    device, _ = model.bring_for_run(settings.guided)
    reference = portrait.reference.on(device)

    def start() -> SamplerState:
        return first_state(model.config, reference.latents.shape[1:], settings.seed, earlier)

    def sample(state: SamplerState) -> Iterator[Tensor]:
        return sample_clips(
            model.networks, reference, voice.features, mask, motion, voice.timeline, settings, on_progress,
            state=state,
        )  # fmt: skip

    with run:
        clips = (clip[0].cpu() / scale for clip in run.clips(start, sample))
        return gather_latents(clips, voice.timeline.frame_count, run.path.parent)


def _check_published(
    model: GraphModel,
    portrait: PublishedPortrait,
    voice: EncodedVoice,
    motion: HeadMotion | None,
    earlier: Tensor | None,
) -> None:
    """Refuse what a model of published weights does not have, and say what it leaves unheard."""
    length, own = voice.timeline.frames_per_clip, model.config.temporal.frames_per_clip
    if earlier is not None or length != own:
        raise InputError(
            got="earlier frames to go on from" if earlier is not None else f"clips of {length} frames",
            allowed=f"clips of {own} frames from the start of the voice, for {model.config.name}",
            do="leave `earlier` unconnected and the clip length 0",
        )
    if portrait.drawings is not None:
        check_count(len(portrait.drawings), voice.timeline.frame_count)
    if motion is not None:
        log.warning("%s has no speed layers: the head motion changes nothing", model.config.name)


def simple_request(
    model: LoadedModel, image: Tensor, audio: Mapping[str, Any], detector_weights: Path | None
) -> TalkRequest:
    """The host's IMAGE and AUDIO with everything else as it comes with the model.

    Where no face is found, the middle of the picture is taken, and the log says so.
    """
    defaults = model.config.defaults
    portrait = portrait_of_image(image)
    face = locate_face(portrait, detector_weights=detector_weights, middle_share=defaults.face_share)
    return TalkRequest(
        portrait=portrait,
        region=face.region,
        voice=voice_of_audio(audio),
        motion=motion_of_style("normal", defaults),
        sampling=SamplingSettings.of(defaults),
        fps=defaults.fps,
    )


def bring_for_talk(model: GraphModel, request: TalkRequest) -> tuple[torch.device, int | None]:
    """Bring every network: the device, and how many frames to decode together there; None: a clip's.

    Raises:
        InputError: the device cannot hold a clip of a model of this project.
    """
    if is_published(model):
        return model.bring_all(), None
    return model.bring_for_run(request.sampling.guided)
