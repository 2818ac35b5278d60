"""What EMO learns from: drawn avatars that speak, as latents of the frozen autoencoder.

A record is one avatar saying part of one utterance: its frames, a few free pictures of it (references), the
head speed and the face region. Image records hold unrelated frames (stage 1), clip records frames in a row.
"""

import argparse
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import InputError
from ..models.autoencoder import Autoencoder
from ..models.build import channels_last
from ..models.checkpoints.emo import load_autoencoder
from ..steps.pixels import to_bytes
from .avatars.identity import AvatarIdentity, draw_identities, identity_codes
from .avatars.motion import FPS, face_box, head_rotation_speed, states_for_voice
from .avatars.renderer import render
from .avatars.speech_corpus import SpeechCorpus
from .avatars.state import STATE, draw_states, neutral_states
from .avatars.visemes import curves_at

logger = logging.getLogger(__name__)

SPEEDS = (0.1, 1.3)  # degrees per frame, drawn evenly
_ENERGY_WINDOW_FRAMES = 3  # on either side
_POSE = slice(STATE["yaw"], STATE["scale"] + 1)
_DECOY_SEED = 40_000  # added to a file's: its records are the same with decoys as without


@dataclass(frozen=True)
class DatasetSettings:
    """What a file of records shall hold.

    Attributes:
        records: avatars.
        frames: frames of each.
        references: free pictures of each besides.
        in_a_row: clip records (frames in a row) or image records (unrelated frames, each with its region).
        seed: of everything.
        size_px: side of the pictures.
        keeps_pixels: whether the pictures of the frames are written beside their latents.
        decoys: whether every frame is written once more with the face badly remembered, see
            `AvatarIdentity.mistaken_for`.
    """

    records: int
    frames: int
    references: int
    in_a_row: bool
    seed: int
    size_px: int = 128
    keeps_pixels: bool = False
    decoys: bool = False

    def __post_init__(self) -> None:
        if min(self.records, self.frames, self.references) < 1:
            raise InputError(
                got=f"records {self.records}, frames {self.frames}, references {self.references}",
                allowed="1 or more of each",
                do="change the dataset settings",
            )


def utterance_states(corpus: SpeechCorpus, index: int, speed: float, generator: torch.Generator) -> Tensor:
    """States [T, 14] at 25 fps of an avatar that says a whole utterance."""
    samples = corpus.samples(index)
    samples_per_frame = corpus.sample_rate_hz // FPS
    frame_count = len(samples) // samples_per_frame
    curves = torch.from_numpy(curves_at(corpus.curves(index), FPS, frame_count))
    power = np.add.reduceat(samples**2, np.arange(frame_count) * samples_per_frame) / samples_per_frame
    width = 2 * _ENERGY_WINDOW_FRAMES + 1
    energy = np.sqrt(np.convolve(power, np.ones(width) / width, "same"))
    return states_for_voice(curves, torch.from_numpy(energy.astype(np.float32)), speed, generator)


@dataclass(frozen=True)
class Record:
    """States and conditions of one record, before drawing.

    Attributes:
        states: [T + R, 14], frames then references.
        frames: index of each frame in its utterance [T].
        speed: head speed of each frame in degrees per frame [T].
        boxes: face region of each frame, (x0, y0, x1, y1) in 0..1 [T, 4].
    """

    states: Tensor
    frames: Tensor
    speed: Tensor
    boxes: Tensor


def draw_record(
    corpus: SpeechCorpus, index: int, settings: DatasetSettings, generator: torch.Generator
) -> Record:
    """Let an avatar say a random part of an utterance."""
    speed = SPEEDS[0] + (SPEEDS[1] - SPEEDS[0]) * float(torch.rand((), generator=generator))
    track = utterance_states(corpus, index, speed, generator)
    track[:, STATE["shift_x"]] += 0.05 * torch.randn((), generator=generator)
    track[:, STATE["shift_y"]] += 0.03 * torch.randn((), generator=generator)
    count = settings.frames
    if settings.in_a_row:
        first = int(torch.randint(max(1, len(track) - count + 1), (), generator=generator))
        frames = torch.arange(first, first + count).clamp(max=len(track) - 1)
        states = track[frames]
        regions = [face_box(states)] * count
        speeds = head_rotation_speed(track)[frames]
    else:
        frames = torch.randint(len(track), (count,), generator=generator)
        states = track[frames]
        unrelated = draw_states(count, generator)
        states[:, _POSE], states[:, STATE["blink"]] = unrelated[:, _POSE], unrelated[:, STATE["blink"]]
        regions = [face_box(states[[row]]) for row in range(count)]
        speeds = torch.zeros(count)
    references = draw_states(settings.references, generator)
    portraits = neutral_states(settings.references, generator, spread=0.7)
    neutral = torch.rand(settings.references, 1, generator=generator) < 0.5
    references = torch.where(neutral, portraits, references)
    boxes = torch.tensor(regions) + _region_margin(1 if settings.in_a_row else count, generator)
    return Record(torch.cat([states, references]), frames, speeds, boxes.clamp(0, 1))


def _region_margin(count: int, generator: torch.Generator) -> Tensor:
    """A user's region is never exact: widen by up to a few hundredths on each side [count, 4]."""
    return 0.015 * torch.randn(count, 4, generator=generator).abs() * torch.tensor([-1, -1, 1, 1])


def draw_decoys(identity: AvatarIdentity, states: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    """Pictures [T, 3, S, S] of one avatar in given states [T, 14] whose face is badly remembered."""
    decoy = identity.mistaken_for(draw_identities(1, generator), generator)
    return render(decoy.repeat_interleave(len(states)), states, size_px)


def _encoded(pixels: Tensor, autoencoder: Autoencoder) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        latents = autoencoder.encode(pixels.contiguous(memory_format=torch.channels_last))
    return latents.half().contiguous()


@torch.no_grad()
def write_dataset(
    path: Path, corpus: SpeechCorpus, autoencoder: Autoencoder, settings: DatasetSettings
) -> None:
    """Draw and encode the records and write them to a safetensors file.

    Tensors: latents float16 [N, T + R, C, h, w]; states float16 [N, T + R, 14]; utterances int64 [N];
    frames int64 [N, T]; speed float32 [N, T]; boxes float32 [N, T, 4]; codes float32 [N, W], see
    `identity_codes`; if asked for, pixels uint8 [N, T, 3, S, S] and decoys float16 [N, T, C, h, w].
    """
    generator = torch.Generator().manual_seed(settings.seed)
    decoy_generator = torch.Generator().manual_seed(settings.seed + _DECOY_SEED)
    rows: dict[str, list[Tensor]] = {}
    for number in range(settings.records):
        index = int(torch.randint(len(corpus), (), generator=generator))
        record = draw_record(corpus, index, settings, generator)
        identity = draw_identities(1, generator)
        pixels = render(identity.repeat_interleave(len(record.states)), record.states, settings.size_px)
        row = {
            "latents": _encoded(pixels, autoencoder),
            "states": record.states.half(),
            "utterances": torch.tensor(index),
            "frames": record.frames,
            "speed": record.speed,
            "boxes": record.boxes,
            "codes": identity_codes(identity)[0],
        }
        if settings.keeps_pixels:
            row["pixels"] = to_bytes(pixels[: settings.frames])
        if settings.decoys:
            decoy = draw_decoys(identity, record.states[: settings.frames], settings.size_px, decoy_generator)
            row["decoys"] = _encoded(decoy, autoencoder)
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
        if (number + 1) % 200 == 0:
            logger.info("%s: %d of %d records", path.name, number + 1, settings.records)
    tensors = {name: torch.stack(values) for name, values in rows.items()}
    save_file(tensors, path, {"kind": "dataset", "settings": json.dumps(asdict(settings), sort_keys=True)})


class Records:
    """Records of one or more files of the same shape, their tensors one after the other."""

    def __init__(self, paths: list[Path]):
        files = [safe_open(path, framework="pt") for path in paths]
        self.tensors = {
            name: torch.cat([file.get_tensor(name) for file in files]) for name in files[0].keys()
        }


class Dataset(Records):
    """Records and the voice features of their utterances.

    Attributes:
        frame_count: T, frames of a record; what follows them are its references.
    """

    def __init__(self, paths: list[Path], features: "VoiceFeatureTable"):
        super().__init__(paths)
        self.frame_count = self.tensors["frames"].shape[1]
        self.features = features

    def __len__(self) -> int:
        return len(self.tensors["utterances"])


class VoiceFeatureTable:
    """Voice features of a whole corpus at 25 fps, float16, from a file written by `write_voice_features`."""

    def __init__(self, path: Path):
        with safe_open(path, framework="pt") as file:
            self.features = file.get_tensor("features")  # [sum of T, D]
            self.offsets = file.get_tensor("offsets")  # [U + 1]

    def windows(self, utterances: Tensor, frames: Tensor, window: int) -> Tensor:
        """Windows [N, F, 2*window+1, D] of frames [N, F] of utterances [N]; their ends are held."""
        first, last = self.offsets[utterances], self.offsets[utterances + 1] - 1
        rows = first[:, None, None] + frames[:, :, None] + torch.arange(-window, window + 1)
        rows = rows.clamp(first[:, None, None], last[:, None, None])
        return self.features[rows].float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--references", type=int, required=True)
    parser.add_argument("--in-a-row", action="store_true")
    parser.add_argument("--keep-pixels", action="store_true", help="for the training of the decoder")
    parser.add_argument("--decoys", action="store_true", help="every frame with a badly remembered face, too")
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    settings = DatasetSettings(
        arguments.records,
        arguments.frames,
        arguments.references,
        arguments.in_a_row,
        arguments.seed,
        keeps_pixels=arguments.keep_pixels,
        decoys=arguments.decoys,
    )
    autoencoder = channels_last(load_autoencoder(arguments.autoencoder))
    write_dataset(arguments.out, SpeechCorpus.load(arguments.corpus), autoencoder, settings)


if __name__ == "__main__":
    main()
