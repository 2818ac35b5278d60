"""The arithmetic of the held-out figures: pure functions of curves and pixels.

Curves are [..., T] at 25 fps, pictures [N, 3, S, S] in 0..1, weights of pixels [N, 1, S, S] in 0..1.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTHING_FRAMES = 5
SEAM_NEIGHBOURS = 3  # frame differences on either side that a seam is compared with


def lag_correlations(measured: Tensor, truth: Tensor, lags: Sequence[int]) -> dict[int, float]:
    """Correlation of two sets of curves [B, T] for each lag, pooled over clips after centring each clip.

    A positive lag means that the video comes later than the voice: measured[t + lag] goes with truth[t].
    A frozen curve has the correlation 0.
    """
    result = {}
    frame_count = truth.shape[1]
    for lag in lags:
        late = measured[:, max(0, lag) : frame_count + min(0, lag)]
        early = truth[:, max(0, -lag) : frame_count - max(0, lag)]
        late, early = (curve.double() - curve.double().mean(1, keepdim=True) for curve in (late, early))
        scale = late.norm() * early.norm()
        result[lag] = float((late * early).sum() / scale) if scale > 1e-9 else 0.0
    return result


def peak_lag(correlations: Mapping[int, float]) -> int:
    """The lag of the largest correlation."""
    return max(correlations, key=lambda lag: correlations[lag])


def other_clips_correlation(measured: Tensor, truth: Tensor) -> float:
    """Correlation of curves [B, T] with the truth of the other clips: mean over all pairings."""
    turns = range(1, len(truth))
    return sum(lag_correlations(measured, truth.roll(turn, 0), [0])[0] for turn in turns) / len(turns)


def smoothed(curves: Tensor) -> Tensor:
    """Moving mean over SMOOTHING_FRAMES frames: [..., T] -> [..., T - 4]."""
    return curves.unfold(-1, SMOOTHING_FRAMES, 1).mean(-1)


def yaw_spread(yaw: Tensor) -> Tensor:
    """Standard deviation within each clip of the smoothed yaw [..., T] -> [...], in the unit of yaw."""
    return smoothed(yaw).std(-1, correction=0)


def head_velocity(angles: Tensor) -> float:
    """Mean rotation speed in degrees per frame of yaw, pitch and roll [..., 3, T] in radians, smoothed."""
    return float(smoothed(angles).diff(dim=-1).norm(dim=-2).mean()) * (180 / math.pi)


def frame_differences(frames: Tensor, weights: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring frames [T, 3, S, S] where weights [S, S] are: [T - 1]."""
    differences = (frames[1:] - frames[:-1]).abs().mean(1)  # [T - 1, S, S]
    return (differences * weights).sum((1, 2)) / weights.sum()


def at_seams(frame_count: int, frames_per_clip: int) -> Tensor:
    """Which of the T - 1 frame differences (bool) lie between two generated clips."""
    return torch.arange(1, frame_count) % frames_per_clip == 0


def seam_ratio(differences: Tensor, seams: Tensor) -> float:
    """Frame differences at seams over those beside them.

    Args:
        differences: [B, T - 1].
        seams: [T - 1], from `at_seams`. Each is compared with the differences up to SEAM_NEIGHBOURS away,
            since motion is not even over a video.

    Returns:
        1 where a seam cannot be seen, which a frozen video's cannot.
    """
    reach = SEAM_NEIGHBOURS
    inside = (~seams).to(differences)
    kernel = differences.new_ones(1, 1, 2 * reach + 1)
    sums = F.conv1d((differences * inside).unsqueeze(1), kernel, padding=reach).squeeze(1)
    counts = F.conv1d(inside.view(1, 1, -1), kernel, padding=reach).view(-1)
    beside = sums / counts.clamp(min=1)
    if not differences.any():
        return 1.0
    return float(differences[:, seams].sum() / beside[:, seams].sum())


def squared_gradients(frames: Tensor) -> Tensor:
    """Squared gradient at every place, the mean over the colours: [N, 1, S - 1, S - 1]."""
    across, down = frames.diff(dim=3)[:, :, :-1], frames.diff(dim=2)[..., :-1]
    return (across.square() + down.square()).mean(1, keepdim=True)


def gradient_energy(frames: Tensor, weights: Tensor) -> Tensor:
    """Mean squared gradient of each picture where its weights are: [N]."""
    energy = squared_gradients(frames)
    return (energy * weights[..., :-1, :-1]).sum((1, 2, 3)) / weights[..., :-1, :-1].sum((1, 2, 3))


def weighted_psnr_db(frames: Tensor, drawn: Tensor, weights: Tensor) -> Tensor:
    """PSNR [N] of each picture against another where the weights are; 99 dB for equal pictures."""
    squared = (frames - drawn).square().mean(1, keepdim=True)
    error = (squared * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))
    return -10 * torch.log10(error.clamp(min=10**-9.9))


def coarse_psnr_db(frames: Tensor, drawn: Tensor, weights: Tensor, factor: int) -> Tensor:
    """As `weighted_psnr_db`, of the pictures `factor` times smaller: colours and shapes, not fine edges.

    Only small pixels that lie wholly where the weights are 1 count.
    """
    inside = (F.avg_pool2d(weights, factor) > 1 - 1e-6).float()
    return weighted_psnr_db(F.avg_pool2d(frames, factor), F.avg_pool2d(drawn, factor), inside)


def nearest_shift_psnr_db(frames: Tensor, drawn: Tensor, weights: Tensor, reach_px: int) -> Tensor:
    """As `weighted_psnr_db`, but the drawn picture and its weights may move by up to reach_px pixels: [N]."""
    padding = (reach_px,) * 4
    drawn, weights = F.pad(drawn, padding, mode="replicate"), F.pad(weights, padding)
    size = frames.shape[-1]
    moves = [(y, x) for y in range(2 * reach_px + 1) for x in range(2 * reach_px + 1)]
    candidates = [
        weighted_psnr_db(
            frames, drawn[..., y : y + size, x : x + size], weights[..., y : y + size, x : x + size]
        )
        for y, x in moves
    ]
    return torch.stack(candidates).amax(0)


def mean_where(values: Tensor, chosen: Tensor) -> float | None:
    """Mean of the values that a mask of the same shape chooses; None when it chooses none."""
    return float(values[chosen].mean()) if bool(chosen.any()) else None
