"""`comfyui-emo talk`: a portrait and a voice -> an mp4."""

import argparse
import logging
import time
from pathlib import Path

import torch

from ..models.build import denoise_in
from ..models.checkpoints.emo import LoadedModel, load_model
from ..models.checkpoints.open_model import open_model
from ..models.config import SamplingDefaults
from ..steps.face_embedding import read_face_embedding
from ..steps.face_guide import FaceGuide
from ..steps.face_guide_files import key_points_from, read_drawings
from ..steps.face_region import FaceRegion, find_face_region, parse_region, read_mask
from ..steps.loudness import normalise_loudness
from ..steps.marking.marks import check_signing_key
from ..steps.marking.terms import show_terms
from ..steps.memory import frames_decoded_at_once
from ..steps.model_card import describe_model
from ..steps.portrait import Portrait, read_portrait
from ..steps.published_memory import require_memory, require_room_for_weights
from ..steps.talk import TalkRequest, check_what_is_given, is_published, part_count, talk, talk_timeline
from ..steps.timeline import Timeline, parse_fps
from ..steps.video_file import check_output
from ..steps.voice import VoiceFile, open_voice
from .checks import check_output_folder, choose_device
from .marks import marking_settings
from .progress import progress_bar
from .settings import head_motion, sampling_settings

log = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> str:
    """Make the video; gives the line that says where it lies.

    Raises:
        EmoError: an option, a file or the output cannot be used.
    """
    started_s = time.perf_counter()
    device = _check(arguments)
    portrait = read_portrait(arguments.image)
    region = _region(arguments, portrait)
    voice = _voice(arguments)
    identity = None if arguments.face_embedding is None else read_face_embedding(arguments.face_embedding)
    guide = _guide(arguments)
    model = _open(arguments, device)
    log.info(describe_model(model))
    show_terms(model.config.name)
    defaults = model.config.defaults
    request = TalkRequest(
        portrait,
        region,
        voice,
        head_motion(arguments, defaults),
        sampling_settings(arguments, defaults, arguments.seed),
        defaults.fps if arguments.fps is None else arguments.fps,
        identity,
        guide,
    )
    check_what_is_given(model, request)
    at_once = _frames_at_once(model, request, device)
    model.networks.to(device)
    with progress_bar(part_count(model, request), request.sampling.steps) as on_progress:
        timeline = talk(
            model,
            request,
            arguments.out,
            device,
            on_progress,
            arguments.work_folder,
            arguments.fresh,
            at_once,
            marking_settings(arguments),
        )
    return _summary(arguments.out, timeline, defaults, time.perf_counter() - started_s)


def _frames_at_once(model: LoadedModel, request: TalkRequest, device: torch.device) -> int | None:
    """How many frames to decode together; None: a clip's. InputError if the device has too little memory."""
    guided = request.sampling.guided
    if not is_published(model):
        return frames_decoded_at_once(model.networks, device, guided)
    require_memory(model, talk_timeline(model, request), device, guided)
    return None


def _open(arguments: argparse.Namespace, device: torch.device) -> LoadedModel:
    """The model, the networks that denoise in the dtype that was chosen."""
    chosen = None if arguments.dtype == "auto" else getattr(torch, arguments.dtype)
    if chosen is None and device.type == "cpu":
        chosen = torch.float32
    if arguments.model:
        model = open_model(arguments.model, arguments.family, chosen, make_room=require_room_for_weights)
    else:
        model = load_model()
    if chosen is not None:
        denoise_in(model.networks, chosen)
    return model


def _check(arguments: argparse.Namespace) -> torch.device:
    """Find what is wrong with the options before any file is read; gives the device."""
    # Any model's defaults do here: what the user gave is what is checked.
    defaults = SamplingDefaults()
    head_motion(arguments, defaults)
    sampling_settings(arguments, defaults, arguments.seed)
    check_signing_key(marking_settings(arguments))
    if arguments.fps is not None:
        parse_fps(arguments.fps)
    if arguments.face is not None:
        parse_region(arguments.face)
    check_output(arguments.out)
    check_output_folder(arguments.out)
    return choose_device(arguments.device)


def _region(arguments: argparse.Namespace, portrait: Portrait) -> FaceRegion:
    height_px, width_px = portrait.pixels.shape[-2:]
    region = None if arguments.face is None else parse_region(arguments.face)
    mask = None if arguments.mask is None else read_mask(arguments.mask, width_px, height_px)
    return find_face_region(portrait, region, mask, arguments.face_index)


def _guide(arguments: argparse.Namespace) -> FaceGuide | None:
    if arguments.key_points is not None:
        return key_points_from(arguments.key_points)
    return None if arguments.drawings is None else read_drawings(arguments.drawings)


def _voice(arguments: argparse.Namespace) -> VoiceFile:
    voice = open_voice(arguments.audio, arguments.start, arguments.duration)
    return normalise_loudness(voice) if arguments.normalise_volume else voice


def _summary(path: Path, timeline: Timeline, defaults: SamplingDefaults, seconds: float) -> str:
    return (
        f"{path.absolute()}: {timeline.duration_s:.2f} s, {timeline.frame_count} frames at "
        f"{float(timeline.fps):g} fps, {defaults.width_px}x{defaults.height_px} pixels, "
        f"{path.stat().st_size / 1e6:.2f} MB, made in {seconds:.1f} s"
    )
