"""How the mouth goes with a recording whose true mouth nobody knows: its opening against the loudness."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from .avatars.motion import FPS
from .avatars.state import STATE
from .detector import AvatarDetector
from .evaluation_set import EvaluationSet
from .figures import lag_correlations, peak_lag
from .generation import Generate
from .measure import LAGS

_FLOOR_DB = -35.0  # under the loudest frame: what is quieter is silence
_SMOOTHING_FRAMES = 3


def loudness_db(samples: Tensor, sample_rate_hz: int) -> Tensor:
    """Loudness [T] of samples [N] in each frame, in dB under the loudest one, smoothed as a mouth moves.

    Raises:
        InputError: shorter than two frames, or silent.
    """
    frame_count = len(samples) * FPS // sample_rate_hz
    edges = [round(frame * sample_rate_hz / FPS) for frame in range(frame_count + 1)]
    if frame_count < 2 or not samples.any():
        raise InputError(
            got=f"{len(samples)} samples at {sample_rate_hz} Hz" + ("" if samples.any() else ", all silent"),
            allowed="a voice of some seconds",
            do="give a recording of somebody who speaks",
        )
    power = torch.stack([samples[a:b].square().mean() for a, b in zip(edges, edges[1:], strict=False)])
    level = 10 * torch.log10(power / power.max()).clamp(min=_FLOOR_DB / 10)
    padded = F.pad(level.view(1, 1, -1), (_SMOOTHING_FRAMES // 2,) * 2, mode="replicate")
    return F.avg_pool1d(padded, _SMOOTHING_FRAMES, 1).flatten()


def measure_recording(
    generate: Generate,
    evaluation_set: EvaluationSet,
    detector: AvatarDetector,
    samples: Tensor,
    sample_rate_hz: int,
    avatars: int,
    size_px: int,
    seed: int,
) -> dict[str, float]:
    """Let the first avatars of the set say a recording, float32 [N], and see how their mouths follow it.

    Beside it stands the same figure for the set's own voices and the true mouths: what a mouth that is right
    has, since loudness alone does not say how far it opens.
    """
    loudness = loudness_db(samples, sample_rate_hz)
    openings = []
    for avatar in range(avatars):
        frames = generate(
            portrait_pixels=evaluation_set.portrait(avatar, size_px),
            samples=samples,
            sample_rate_hz=sample_rate_hz,
            region=evaluation_set.region(avatar),
            speed=evaluation_set.speed(avatar),
            seed=seed,
        )
        openings.append(detector.detect(frames[: len(loudness)])[:, STATE["open"]])
    followed = lag_correlations(torch.stack(openings), loudness.expand(avatars, -1), LAGS)
    clips = range(len(evaluation_set))
    rate = evaluation_set.sample_rate_hz
    heard = torch.stack([loudness_db(evaluation_set.voice(clip), rate) for clip in clips])
    truth = lag_correlations(evaluation_set.states[..., STATE["open"]], heard, [0])
    return {
        "opening_correlation_with_loudness": followed[0],
        "opening_peak_offset_frames": float(peak_lag(followed)),
        "opening_correlation_with_loudness_of_truth": truth[0],
        "recording_s": len(samples) / sample_rate_hz,
    }
