"""The graph's runs that may go on: their work folders, side by side in a folder that the host leaves alone.

A block does not know what its result will be called, so a run is found again by its settings. Other settings
get a folder of their own; the folders that were used least recently are removed.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .graph_model import GraphModel
from .graph_types import EncodedVoice, PortraitReference, sample_latents
from .head_motion import HeadMotion
from .marking.marks import Origin
from .pack_version import pack_version
from .published_sampling import PublishedPortrait
from .resume import RunFolder, discard_run
from .run_record import differing, digest, run_name, stored_settings, work_in
from .sampling import OnProgress
from .sampling_settings import SamplingSettings
from .video_file import cannot_write

log = logging.getLogger(__name__)

KEPT_RUNS = 4
"""Work folders that are kept at once."""

RUN_KEY = "emo_run"
"""Where a LATENT carries the run that it comes from."""


@dataclass(frozen=True)
class SamplingRun:
    """A run of the sampler.

    Attributes:
        folder: keeps its clips until the video is written.
        settings: everything that decides its latents, by name.
        origin: what a video of these latents is made from.
        clip_count: clips of the whole run.
        keeps_clips: whether clips are kept; otherwise the steps of a loop over the whole video are.
    """

    folder: Path
    settings: Mapping[str, str]
    origin: Origin
    clip_count: int
    keeps_clips: bool = True

    def opened(self) -> RunFolder:
        """The folder, to keep clips or steps in."""
        return RunFolder(
            self.folder,
            self.settings,
            self.clip_count,
            clips_per_segment=1,
            keeps_clips=self.keeps_clips,
        )

    def remove(self) -> None:
        """Remove the folder, unless somebody is using it."""
        with suppress(InputError, FileNotFoundError):
            discard_run(self.folder)


def run_folder(runs: Path, settings: Mapping[str, str]) -> Path:
    """The work folder of a run in the folder of all runs; when it is a new one, the oldest make room for it.

    Raises:
        InputError: the folder cannot be made.
    """
    path = runs / run_name(settings)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            others = [other for other in runs.iterdir() if stored_settings(other)]
            others.sort(key=lambda other: other.stat().st_mtime, reverse=True)
            _say_what_differs(others, settings)
            for old in others[KEPT_RUNS - 1 :]:
                log.info("the run kept in %s is removed: newer ones take its place", old)
                with suppress(InputError):  # somebody is using it
                    discard_run(old)
    except OSError as error:
        raise cannot_write(runs, error) from error
    return path


def _say_what_differs(others: list[Path], settings: Mapping[str, str]) -> None:
    """Tell the user of a run that is kept, but cannot be gone on with."""
    for other in others:
        stored = stored_settings(other)
        if stored.keys() == settings.keys() and work_in(other):
            log.info(
                "starting afresh: the %s in %s were made with another %s; with that they go on",
                work_in(other), other, ", another ".join(differing(stored, settings)),
            )  # fmt: skip
            return


def sampling_run(
    runs: Path,
    model: GraphModel,
    portrait: PortraitReference,
    voice: EncodedVoice,
    motion: HeadMotion | None,
    settings: SamplingSettings,
    earlier: Tensor | None = None,
) -> SamplingRun:
    """The run of these settings in the folder of all runs; for the arguments see `sample_latents`."""
    backbone, reference = next(model.networks.backbone.parameters()), portrait.reference
    identity = drawings = None
    if isinstance(reference, PublishedPortrait):
        identity, drawings = reference.identity, reference.drawings
    made_from = {
        "model": model.sha256,
        "portrait": digest(reference.latents),
        "face region": f"{portrait.face} {portrait.fitted.region}",
        "face embedding": digest(identity),
        "key points or drawings": digest(drawings),
        "voice": digest(voice.features),
        "clip length or frame rate": f"{voice.timeline}",
        "head motion": str(motion),
        **{name.replace("_", " "): str(value) for name, value in asdict(settings).items()},
        "earlier frames": digest(earlier),
        "kind of device or number": f"{model.bring().type}, {backbone.dtype}",
        "version of this pack or torch": f"{pack_version()}, {torch.__version__}",
    }
    origin = Origin(
        model.config.name, made_from["model"], digest(portrait.fitted.pixels), settings=str(made_from)
    )
    folder, by_clips = run_folder(runs, made_from), model.config.loop.kind == "clips"
    return SamplingRun(folder, made_from, origin, voice.timeline.clip_count, by_clips)


def sample_latent(
    runs: Path,
    model: GraphModel,
    portrait: PortraitReference,
    voice: EncodedVoice,
    motion: HeadMotion | None,
    settings: SamplingSettings,
    on_progress: OnProgress,
    earlier: Tensor | None = None,
) -> dict[str, Any]:
    """The host's LATENT of all frames, with the run it comes from; for the arguments see `sample_latents`."""
    run = sampling_run(runs, model, portrait, voice, motion, settings, earlier)
    latents = sample_latents(model, portrait, voice, motion, settings, on_progress, earlier, run.opened())
    return {"samples": latents, RUN_KEY: run}

