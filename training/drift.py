"""A minute of one avatar: its last seconds against its first, by the figures of a long run."""

from collections.abc import Sequence

from .detector import AvatarDetector
from .evaluation_set import EvaluationSet
from .generation import Generate
from .long_run import LongRun

DRIFT_MINUTES = 1.0
STRETCH_S = 5.0


def measure_drift(
    generate: Generate,
    evaluation_set: EvaluationSet,
    detector: AvatarDetector,
    avatars: Sequence[int],
    size_px: int,
    seed: int,
) -> dict[str, float]:
    """Last 5 s minus first 5 s of a minute in which both say the same: figures, mean over some avatars."""
    changes = []
    for avatar in avatars:
        run = LongRun.of(evaluation_set, DRIFT_MINUTES, avatar, STRETCH_S)
        frames = generate(
            portrait_pixels=run.voices.portrait(0, size_px),
            samples=run.samples,
            sample_rate_hz=run.voices.sample_rate_hz,
            region=evaluation_set.region(avatar),
            speed=evaluation_set.speed(avatar),
            seed=seed,
        )
        changes.append(run.measure(iter([frames.float().clamp(0, 1)]), detector)["change"])
    return {f"drift_{name}": sum(row[name] for row in changes) / len(changes) for name in changes[0]}
