"""The held-out evaluation of a model: what `comfyui-emo evaluate` writes."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..steps.pixels import to_bytes
from .avatars.state import STATE
from .detector import AvatarDetector
from .evaluation_set import EvaluationSet
from .face_areas import eye_weights
from .figures import lag_correlations, weighted_psnr_db
from .generation import Generate
from .measure import Evaluator

logger = logging.getLogger(__name__)

_RECONSTRUCTED_AT_ONCE = 25
_RECONSTRUCTED_EVERY = 10  # frames between those that the autoencoder itself is judged by
_SHEET_COLUMNS = 8
_SHEET_ROWS = 8


@dataclass(frozen=True)
class EvaluationSettings:
    """How a model is evaluated.

    Attributes:
        frames_per_clip: frames that the model generates at a time.
        seeds: every clip is generated once with each.
        size_px: side of the model's pictures.
        other_voice: also generate every clip with the voice of the next one, to see that the mouth follows
            what is heard and nothing else.
    """

    frames_per_clip: int
    seeds: tuple[int, ...] = (0, 1, 2)
    size_px: int = 128
    other_voice: bool = True

    def __post_init__(self) -> None:
        if not self.seeds or self.frames_per_clip < 2:
            raise InputError(
                got=f"seeds {self.seeds}, frames_per_clip {self.frames_per_clip}",
                allowed="at least one seed, and 2 or more frames per clip",
                do="change the evaluation settings",
            )


def _generated(
    generate: Generate, evaluation_set: EvaluationSet, settings: EvaluationSettings, seed: int, turn: int = 0
) -> Iterator[Tensor]:
    """Videos clip by clip [T, 3, S, S], each with the voice of the clip `turn` places on."""
    for clip in range(len(evaluation_set)):
        logger.info("seed %d: clip %d of %d", seed, clip + 1, len(evaluation_set))
        frames = generate(
            portrait_pixels=evaluation_set.portrait(clip, settings.size_px),
            samples=evaluation_set.voice((clip + turn) % len(evaluation_set)),
            sample_rate_hz=evaluation_set.sample_rate_hz,
            region=evaluation_set.region(clip),
            speed=evaluation_set.speed(clip),
            seed=seed,
        )
        yield frames.float().clamp(0, 1)


def _shown(videos: Iterator[Tensor], columns: list[Tensor]) -> Iterator[Tensor]:
    """Passes videos on, and keeps evenly spaced frames of the first ones for the contact sheet."""
    for frames in videos:
        if len(columns) < _SHEET_ROWS:
            columns.append(evenly_spaced(frames))
        yield frames


def _reconstructed(videos: Iterator[Tensor], reconstruct: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    for frames in videos:
        yield torch.cat([reconstruct(chunk) for chunk in frames.split(_RECONSTRUCTED_AT_ONCE)])


def reconstruction_figures(
    evaluation_set: EvaluationSet, reconstruct: Callable[[Tensor], Tensor], size_px: int
) -> dict[str, float]:
    """PSNR in dB of the true videos through the autoencoder: of whole pictures, and around the eyes."""
    whole, eyes = [], []
    for clip in range(len(evaluation_set)):
        truth = evaluation_set.truth(clip, size_px)[::_RECONSTRUCTED_EVERY]
        through = reconstruct(truth).clamp(0, 1)
        looked_at = eye_weights(evaluation_set.states[clip, ::_RECONSTRUCTED_EVERY], size_px)
        whole.append(weighted_psnr_db(through, truth, torch.ones_like(looked_at)))
        eyes.append(weighted_psnr_db(through, truth, looked_at))
    return {
        "autoencoder_psnr_db": float(torch.cat(whole).mean()),
        "autoencoder_eyes_psnr_db": float(torch.cat(eyes).mean()),
    }


def _other_voice_correlations(
    generate: Generate, evaluation_set: EvaluationSet, detector: AvatarDetector, settings: EvaluationSettings
) -> dict[str, float]:
    """With the next clip's voice: correlation of the mouth with its own truth, and with that of the voice."""
    videos = _generated(generate, evaluation_set, settings, settings.seeds[0], turn=1)
    opening = torch.stack([detector.detect(frames)[:, STATE["open"]] for frames in videos])
    truth = evaluation_set.states[..., STATE["open"]]
    return {
        "mouth_opening_correlation_other_voice": lag_correlations(opening, truth, [0])[0],
        "mouth_opening_correlation_swapped_voice": lag_correlations(opening, truth.roll(-1, 0), [0])[0],
    }


def _mean_and_spread(rows: Sequence[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean over the seeds, and largest minus smallest."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    means = {name: sum(values) / len(values) for name, values in columns.items()}
    return means, {name: max(values) - min(values) for name, values in columns.items()}


def evaluate_model(
    generate: Generate,
    reconstruct: Callable[[Tensor], Tensor],
    evaluation_set: EvaluationSet,
    detector: AvatarDetector,
    settings: EvaluationSettings,
    sheet: Path | None = None,
) -> dict[str, Any]:
    """Generate every clip of the set with every seed, and measure.

    Args:
        generate: makes a video.
        reconstruct: pixels [N, 3, S, S] through the model's latents and back (`Autoencoder.reconstruct`).
        evaluation_set: held-out clips.
        detector: reads the videos.
        settings: how often and how large.
        sheet: where to write a contact sheet of the first seed, if anywhere.

    Returns:
        JSON-able: "figures" (mean over the seeds), "spread" (largest minus smallest over the seeds), "truth"
        and "truth_through_autoencoder" (the same figures of the true videos: the ceiling), "autoencoder" (how
        near the way through it comes to the truth), "settings".
    """
    evaluator = Evaluator(evaluation_set, detector, settings.frames_per_clip, settings.size_px)
    truth = evaluator.truth_figures()
    ceiling = evaluator.measure(_reconstructed(iter(evaluator.truth()), reconstruct))
    rows, columns = [], []
    for seed in settings.seeds:
        videos = _generated(generate, evaluation_set, settings, seed)
        rows.append(evaluator.measure(videos if rows else _shown(videos, columns)))
    means, spread = _mean_and_spread(rows)
    if settings.other_voice and len(evaluation_set) > 1:
        means.update(_other_voice_correlations(generate, evaluation_set, detector, settings))
        spread.pop("mouth_opening_correlation_other_voice")
    if sheet is not None:
        portraits = torch.cat(
            [evaluation_set.portrait(clip, settings.size_px) for clip in range(len(columns))]
        )
        contact_sheet(torch.stack(columns), portraits, sheet)
    return {
        "figures": means,
        "spread": spread,
        "truth": truth,
        "truth_through_autoencoder": ceiling,
        "autoencoder": reconstruction_figures(evaluation_set, reconstruct, settings.size_px),
        "settings": {
            **asdict(settings),
            "clips": len(evaluation_set),
            "frames": evaluation_set.frame_count,
            "voices": sorted(set(evaluation_set.voices)),
        },
    }


def evenly_spaced(frames: Tensor, count: int = _SHEET_COLUMNS) -> Tensor:
    """`count` frames of [T, 3, S, S], from the first to the last."""
    return frames[torch.linspace(0, len(frames) - 1, count).round().long()]


def contact_sheet(frames: Tensor, portraits: Tensor, path: Path) -> None:
    """Write a PNG: a row for each clip, the portrait [B, 3, S, S] first, then its frames [B, C, 3, S, S]."""
    rows = torch.cat([portraits.unsqueeze(1), frames], 1)  # [B, C + 1, 3, S, S]
    picture = to_bytes(rows).permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)
    Image.fromarray(picture.numpy()).save(path)
