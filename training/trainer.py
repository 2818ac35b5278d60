"""The one trainer of the three stages: a batch of records -> the loss on the predicted velocity."""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.avatar import avatar_config
from ..models.build import EmoNetworks, build_networks, channels_last
from ..models.checkpoints.emo import load_autoencoder
from .batches import draw_batch
from .dataset import Dataset, VoiceFeatureTable
from .latent_weights import channel_weights
from .loop import LoopSettings, TrainingRun
from .mouth_reader import load_mouth_reader
from .stage_loss import StageLoss
from .stages import STAGES, StageConfig, freeze_for

PARTS = ("reference_net", "backbone", "audio_projection")


def train_stage(
    networks: EmoNetworks,
    stage: StageConfig,
    images: Dataset,
    clips: Dataset | None,
    weights: Tensor,
    checkpoint: Path,
    settings: LoopSettings,
    seed: int,
    mouth_reader: nn.Module | None = None,
) -> None:
    """Train the networks through one stage, from its checkpoint if there is one; they end averaged.

    weights: of the latent channels [C], see `channel_weights`. mouth_reader: for a stage with a mouth_weight.
    """
    freeze_for(stage, networks)
    if stage.keeps_norms_frozen:
        # torch 2.13 crashes in the backward of a channels-last GroupNorm whose weights are frozen.
        networks.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    else:
        channels_last(networks)
    diffusion = nn.ModuleDict({part: getattr(networks, part) for part in PARTS})
    run = TrainingRun(diffusion, settings, checkpoint, seed)
    loss = StageLoss(networks, stage, weights, mouth_reader)
    networks.train()

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        as_images = clips is None or float(torch.rand((), generator=generator)) < stage.image_share
        if as_images:
            records, frames = stage.image_records, stage.image_frames
            batch = draw_batch(images, records, networks.config, False, generator, frames)
        else:
            batch = draw_batch(clips, stage.records, networks.config, True, generator)  # type: ignore[arg-type]
        return loss(batch, generator)

    run.run(losses)
    run.load_averaged_weights()
    networks.eval()


def compile_networks(networks: EmoNetworks) -> None:
    """Let torch compile what takes the time of a step, in place.

    On one quiet core of a server loss and gradients of the avatar model's clips went from 0.74 to 0.57 s, of
    its images from 0.51 to 0.44 s; compiling takes about ten minutes of it the first time and needs a C++
    compiler. Later runs find the result in torch's cache.
    """
    backbone, reference_net = networks.backbone, networks.reference_net
    for module, method in ((backbone, "forward"), (backbone, "forward_images"), (reference_net, "forward")):
        setattr(module, method, torch.compile(getattr(module, method), dynamic=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=list(STAGES), required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--autoencoder", type=Path, required=True, help="that the records were encoded with")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--start-from", type=Path, help="checkpoint of the stage before")
    parser.add_argument("--appearance", type=Path, help="checkpoint of the appearance encoder")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--decay-share", type=float, default=LoopSettings.decay_share)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--device", type=torch.device, default="cpu", help="where to train, for example cuda")
    parser.add_argument("--decoy-share", type=float, help="as in StageConfig; needs records with decoys")
    parser.add_argument("--likeness-weight", type=float, help="as in StageConfig")
    parser.add_argument("--mouth-weight", type=float, help="as in StageConfig")
    parser.add_argument("--mouth-reader", type=Path, help="its checkpoint, for a mouth weight")
    parser.add_argument("--image-share", type=float, help="as in StageConfig")
    parser.add_argument("--image-records", type=int, help="as in StageConfig")
    parser.add_argument("--image-frames", type=int, help="as in StageConfig")
    parser.add_argument("--orthogonal", action="store_true", help="move matrices by orthogonal momentum")
    parser.add_argument("--compile", action="store_true", help="faster steps after minutes of compiling")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    changed = (
        *("decoy_share", "likeness_weight", "mouth_weight"),
        *("image_share", "image_records", "image_frames"),
    )
    given = {name: getattr(arguments, name) for name in changed if getattr(arguments, name) is not None}
    stage = replace(STAGES[arguments.stage], **given)
    networks = build_networks(avatar_config())
    for checkpoint in (arguments.start_from, arguments.appearance):
        if checkpoint is not None:
            load_parts(networks, checkpoint)
    networks.to(arguments.device)
    if arguments.compile:
        compile_networks(networks)
    features = VoiceFeatureTable(arguments.features)
    clips = Dataset(arguments.clips, features) if arguments.clips else None
    rate = arguments.learning_rate or stage.learning_rate
    settings = LoopSettings(
        arguments.steps, rate, decay_share=arguments.decay_share, orthogonal=arguments.orthogonal
    )
    images = Dataset(arguments.images, features)
    weights = channel_weights(load_autoencoder(arguments.autoencoder))
    reader = None if arguments.mouth_reader is None else load_mouth_reader(arguments.mouth_reader)
    given_data = (images, clips, weights, arguments.checkpoint, settings, arguments.seed)
    train_stage(networks, stage, *given_data, None if reader is None else reader.to(arguments.device))


def load_parts(networks: EmoNetworks, checkpoint: Path) -> None:
    """Put a stage checkpoint's averaged weights into the networks; what it does not know stays as it is."""
    averaged = torch.load(checkpoint, map_location="cpu", weights_only=True)["averaged"]
    parts = nn.ModuleDict({part: getattr(networks, part) for part in PARTS})
    parts.load_state_dict({**parts.state_dict(), **averaged})


if __name__ == "__main__":
    main()
