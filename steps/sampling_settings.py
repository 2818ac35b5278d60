"""How to sample: what a user chooses, with the model's own values where nothing is said."""

from dataclasses import dataclass, fields
from math import ceil
from typing import Any

from ..errors import InputError
from ..models.config import SamplingDefaults

MAX_STEPS = 1000
MAX_SEAM_FADE_FRAMES = 100
MAX_SPEED_GAIN = 10
MAX_POSE_NOISE_SCALE = 2


@dataclass(frozen=True)
class SamplingSettings:
    """How to sample.

    Attributes:
        steps: denoising steps a clip.
        scheduler: a name of `SCHEDULER_NAMES`.
        voice_guidance: guidance scale of the voice; 1 leaves the part without voice out.
        portrait_guidance: guidance scale of the portrait; 1 leaves the part without portrait out.
        guided_share: share of the steps, from the first, that are guided, rounded up to whole steps. What
            mouth and head do is decided in the first ones; the later ones, which draw it, take half the time
            unguided (the limited interval of Kynkaanniemi et al. 2024).
        motion_share: share of the steps, from the first, that see the motion frames, rounded up to whole
            steps. The pose is decided in the first ones; a small model takes the face, too, from its own
            frames in the later ones instead of from the portrait, and its errors wander from clip to clip.
        seam_fade_frames: over about how many frames a clip's offset from the clip before fades. The clip
            then starts one frame early; by how much this frame differs from the one that is shown is added
            to the frames after it, less and less. 0: nothing is generated twice, and nothing is added.
        speed_gain: what the speed layers are told over the head speed that is asked for. A model that starts
            from little noise moves less than it is told to.
        noise_scale: deviation of the noise that every clip starts from, 1 as in training.
        pose_noise_scale: deviation of that noise's slow part in its place, see `pose_noise`; None: as the
            rest.
        pose_noise_share: share of the steps, from the first, that see more of the slow part, rounded up to
            whole steps.
        seed: of the noise; the same seed gives the same video.
    """

    steps: int
    scheduler: str = "ddim"
    voice_guidance: float = 1.0
    portrait_guidance: float = 1.0
    guided_share: float = 1.0
    motion_share: float = 1.0
    seam_fade_frames: float = 0.0
    speed_gain: float = 1.0
    noise_scale: float = 1.0
    pose_noise_scale: float | None = None
    pose_noise_share: float = 0.375
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise InputError(
                got=f"steps {self.steps}", allowed=f"1 to {MAX_STEPS}", do="set steps, for example to 8"
            )
        for name in ("voice", "portrait"):
            guidance = getattr(self, f"{name}_guidance")
            if not 1 <= guidance <= 20:
                raise InputError(
                    got=f"guidance {guidance:g} on the {name}",
                    allowed="1 (off) to 20",
                    do="set the guidance, for example to 1.5",
                )
        for name in ("guided_share", "motion_share", "noise_scale", "pose_noise_share"):
            share = getattr(self, name)
            if not 0 < share <= 1:
                raise InputError(
                    got=f"{name.replace('_', ' ')} {share:g}",
                    allowed="above 0, up to 1",
                    do="set it, for example to 0.8",
                )
        if not 0 <= self.seam_fade_frames <= MAX_SEAM_FADE_FRAMES:
            raise InputError(
                got=f"seam fade of {self.seam_fade_frames:g} frames",
                allowed=f"0 (off) to {MAX_SEAM_FADE_FRAMES}",
                do="set it, for example to 5",
            )
        if not 0 < self.speed_gain <= MAX_SPEED_GAIN:
            raise InputError(
                got=f"speed gain {self.speed_gain:g}",
                allowed=f"above 0, up to {MAX_SPEED_GAIN}",
                do="set it, for example to 1",
            )
        if self.pose_noise_scale is not None and not 0 < self.pose_noise_scale <= MAX_POSE_NOISE_SCALE:
            raise InputError(
                got=f"pose noise scale {self.pose_noise_scale:g}",
                allowed=f"above 0, up to {MAX_POSE_NOISE_SCALE}",
                do="set it, for example to 1",
            )
        if not 0 <= self.seed < 2**63:
            raise InputError(got=f"seed {self.seed}", allowed="0 to 2**63 - 1", do="choose another seed")

    @classmethod
    def of(cls, defaults: SamplingDefaults, **chosen: Any) -> "SamplingSettings":
        """What comes with a model, with what was chosen in its place.

        Raises:
            InputError: a value out of range.
        """
        own = {field.name: getattr(defaults, field.name) for field in fields(cls) if field.name != "seed"}
        return cls(**{**own, **chosen})

    @property
    def guided(self) -> bool:
        """Whether the Backbone is asked more than once a step."""
        return self.voice_guidance != 1 or self.portrait_guidance != 1

    @property
    def guided_steps(self) -> int:
        """How many of the steps are guided, if any guidance is on."""
        return _whole_steps(self.guided_share, self.steps)

    @property
    def pose_noise_steps(self) -> int:
        """After how many of the steps the slow part of the noise comes down; 0: it is as the rest."""
        return 0 if self.pose_noise_scale is None else _whole_steps(self.pose_noise_share, self.steps)

    @property
    def motion_steps(self) -> int:
        """How many of the steps see the motion frames."""
        return _whole_steps(self.motion_share, self.steps)


def _whole_steps(share: float, steps: int) -> int:
    return ceil(share * steps - 1e-9)
