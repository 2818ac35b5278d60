"""The three stages of the paper's training (section 3.4), as data.

Departures from the paper, each measured to help the small model: the voice is on from stage 1 (without it the
mouth of a target is chance, and the image model learns to blur it), a part of stage 2's batches stays
single images (sharpness is lost otherwise), and stage 2 is told the head's speed (a stage of its own for the
speed layers, short as it has to be here, cost the face more than it taught them).
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ..errors import InputError


@dataclass(frozen=True)
class StageConfig:
    """One stage.

    Attributes:
        name: "image", "video" or "speed".
        trains: whether a parameter, by its name in `EmoNetworks`, is trained.
        records: clip records a batch.
        image_records, image_frames: image records a batch, and frames of each. The same number of pictures of
            more avatars teaches more about who is who, for a run of the ReferenceNet each.
        image_share: share of the batches that are unrelated images without temporal modules.
        gives_speed: whether the head speed is given to the speed layers.
        learning_rate: the constant rate of the stage.
        keeps_norms_frozen: whether group norms lie in the gradient's way that are not trained themselves.
        voice_dropout: share of records without voice.
        portrait_dropout: share of records without portrait.
        motion_dropout: share of clips whose motion frames are zero maps (the first clip of a video).
        motion_noise: deviation of the noise on motion frames; at run time they are generated, not true.
        middle_share: share of the timesteps that are drawn from the middle (logit-normal, as Esser et al.
            2024), where the pose is seen and the face has to come from the portrait; the rest is even.
        clip_centre: of that logit-normal for clips; towards noise, where only motion frames tell the pose.
        seam_weight: what a clip's first frame counts more than its last in the loss. It has to go on from
            the motion frames, and the eye sees where it does not.
        rolled_share: share of the batches that are rolled on by a step of the networks' own, see `rollout`.
            With 0.5 over 2500 steps, in which `aligned_reference` came in, too, faces, seams and movement
            got better (16 held-out clips: 26.3 dB instead of 26.0, 0.97 instead of 1.05, head velocity 0.51
            instead of 0.49 of the true one), but eyes had 0.66 instead of 0.72 of the true gradient energy,
            and the right of 8 avatars was seen in 0.947 instead of 0.968 of the frames. The bundled model
            went on from there without it for 3000 steps: on four clips eyes are at 0.785 instead of 0.778.
        decoy_share: share of the batches whose noisy latents show a badly remembered face.
        likeness_weight: of the squared difference between the codes that the appearance encoder reads of the
            predicted latents and of the true ones, which counts as much as signal is left.
        mouth_weight: likewise of how open, wide and round a mouth reader finds the mouth. It counts the same
            at every timestep: the voice tells the mouth before anything is seen.
    """

    name: str
    trains: Callable[[str], bool]
    records: int
    image_share: float
    gives_speed: bool
    learning_rate: float
    keeps_norms_frozen: bool = False
    voice_dropout: float = 0.1
    portrait_dropout: float = 0.02
    motion_dropout: float = 0.2
    motion_noise: float = 0.1
    middle_share: float = 0.7
    clip_centre: float = 0.8
    seam_weight: float = 2.0
    rolled_share: float = 0.0
    decoy_share: float = 0.0
    likeness_weight: float = 0.0
    mouth_weight: float = 0.0
    image_records: int = 8
    image_frames: int = 4

    def __post_init__(self) -> None:
        shares = (
            self.image_share,
            self.voice_dropout,
            self.portrait_dropout,
            self.motion_dropout,
            self.rolled_share,
            self.decoy_share,
            self.rolled_share + self.decoy_share,
        )
        counts = (self.records, self.image_records, self.image_frames)
        if min(counts) < 1 or not all(0 <= share <= 1 for share in shares):
            raise InputError(
                got=f"records and frames a batch {counts}, shares {shares}",
                allowed="at least one of each and shares in 0..1",
                do="change the stage's settings",
            )


def _is_temporal(name: str) -> bool:
    return ".motion_modules." in name


def _is_learned_before(name: str) -> bool:
    return name.startswith("reference_net.appearance.")


IMAGE_STAGE = StageConfig(
    name="image",
    trains=lambda name: not (_is_temporal(name) or _is_learned_before(name)),
    records=8,
    image_share=1.0,
    gives_speed=False,
    learning_rate=1.5e-3,
)
VIDEO_STAGE = StageConfig(
    name="video",
    trains=lambda name: not _is_learned_before(name),
    records=3,
    image_share=0.4,
    gives_speed=True,
    learning_rate=1.2e-3,
)
SPEED_STAGE = StageConfig(
    name="speed",
    trains=_is_temporal,
    records=3,
    image_share=0.0,
    gives_speed=True,
    learning_rate=8e-4,
    keeps_norms_frozen=True,
)
STAGES = {stage.name: stage for stage in (IMAGE_STAGE, VIDEO_STAGE, SPEED_STAGE)}


def freeze_for(stage: StageConfig, networks: nn.Module) -> None:
    """Let only the stage's parameters learn."""
    for name, parameter in networks.named_parameters():
        parameter.requires_grad_(stage.trains(name))
