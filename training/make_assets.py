"""Makes the bundled examples: avatars and voices that training never sees. Needs espeakng-loader.

Looks are set by hand within what `draw_identities` draws; what is not set comes from the portrait's seed.
"""

import argparse
import logging
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..steps.pixels import to_bytes
from ..steps.portrait import REGION_KEY
from .avatars.identity import HAIR_COLOURS, IRIS_COLOURS, SKIN_TONES, AvatarIdentity, draw_identities
from .avatars.motion import face_box
from .avatars.renderer import render
from .avatars.speech import Speech, chant, join, silence, sing, synthesize
from .avatars.state import STATE, neutral_states

logger = logging.getLogger(__name__)

PORTRAIT_SIZE_PX = 512
_SEED = 660_000  # of the first portrait; far from training's
_PEAK = 0.6

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """What is set by hand of a portrait.

    Attributes:
        skin, hair, iris: indices of the palettes in avatars.identity.
        background: the two colours of its gradient.
        cloth: colour of the clothes.
        yaw: of the head, radians.
        shape: further fields of AvatarIdentity.
    """

    skin: int
    hair: int
    iris: int
    background: tuple[Rgb, Rgb]
    cloth: Rgb
    yaw: float
    shape: dict[str, float] = field(default_factory=dict)


_BLUE = ((0.62, 0.74, 0.85), (0.44, 0.58, 0.74))
_SAND = ((0.86, 0.78, 0.66), (0.74, 0.62, 0.50))
_SAGE = ((0.68, 0.76, 0.66), (0.48, 0.60, 0.52))
_ROSE = ((0.86, 0.70, 0.70), (0.70, 0.52, 0.56))
_SLATE = ((0.46, 0.50, 0.58), (0.28, 0.32, 0.42))
_PLAIN = {"bald": 0.0, "glasses": 0.0, "beard": 0.0}

LOOKS = {
    "ada": Look(
        1, 2, 2, _BLUE, (0.25, 0.35, 0.55), 0.06,
        {**_PLAIN, "hair_length": 0.75, "glasses": 1.0, "part": -0.35, "fringe_height": -0.38,
         "hair_volume": 0.09},
    ),
    "bruno": Look(
        3, 0, 0, _SAND, (0.20, 0.38, 0.32), -0.10,
        {**_PLAIN, "hair_length": 0.0, "beard": 0.8, "jaw_taper": 0.16, "brow_thickness": 0.03, "part": 0.2,
         "hair_volume": 0.08, "fringe_height": -0.40},
    ),
    "chidi": Look(
        5, 0, 0, _SAGE, (0.85, 0.72, 0.35), 0.12,
        {**_PLAIN, "hair_length": 0.0, "hair_volume": 0.05, "fringe_height": -0.42, "collar": 1.0},
    ),
    "delia": Look(
        0, 7, 1, _ROSE, (0.45, 0.28, 0.45), -0.05,
        {**_PLAIN, "hair_length": 0.35, "glasses": 1.0, "lip_thickness": 0.03, "brow_thickness": 0.016,
         "part": 0.2},
    ),
    "emil": Look(
        0, 5, 2, _SLATE, (0.72, 0.36, 0.22), 0.09,
        {**_PLAIN, "hair_length": 0.0, "hair_volume": 0.09, "part": 0.1, "eye_radius": 0.088,
         "fringe_height": -0.40, "face_height": 0.57, "mouth_height": 0.30, "mouth_width": 0.18,
         "brow_tilt": -0.05},
    ),
    "fatou": Look(
        6, 1, 3, _SAND, (0.70, 0.25, 0.30), -0.12,
        {**_PLAIN, "hair_length": 0.9, "hair_volume": 0.12, "part": -0.1, "lip_thickness": 0.048,
         "collar": 0.0},
    ),
    "goro": Look(
        2, 0, 0, _BLUE, (0.30, 0.30, 0.34), 0.03,
        {**_PLAIN, "bald": 1.0, "hair_length": 0.0, "glasses": 1.0, "beard": 0.55, "face_width": 0.48},
    ),
    "hana": Look(
        1, 8, 4, _ROSE, (0.88, 0.86, 0.82), -0.08,
        {**_PLAIN, "hair_length": 0.45, "fringe_height": -0.26, "part": 0.05, "jaw_taper": 0.34},
    ),
}  # fmt: skip


def _identity(look: Look, drawn: AvatarIdentity) -> AvatarIdentity:
    skin = SKIN_TONES[look.skin]
    colours = {
        "skin": skin,
        "hair": HAIR_COLOURS[look.hair],
        "iris": IRIS_COLOURS[look.iris],
        "lip": (skin * torch.tensor([0.82, 0.50, 0.50]) + torch.tensor([0.08, 0.01, 0.03])).clamp(0, 1),
        "background_first": torch.tensor(look.background[0]),
        "background_second": torch.tensor(look.background[1]),
        "cloth": torch.tensor(look.cloth),
    }
    changes = {name: value[None] for name, value in colours.items()}
    return replace(drawn, **changes, **{name: torch.tensor([value]) for name, value in look.shape.items()})


def draw_portrait(name: str) -> tuple[Tensor, tuple[int, int, int, int]]:
    """A portrait of LOOKS: pixels [1, 3, 512, 512] in 0..1, and its face region x, y, width, height."""
    look = LOOKS[name]
    generator = torch.Generator().manual_seed(_SEED + list(LOOKS).index(name))
    identity = _identity(look, draw_identities(1, generator))
    states = neutral_states(1, generator, spread=0.3)
    states[:, STATE["yaw"]] = look.yaw
    x0, y0, x1, y1 = (round(edge * PORTRAIT_SIZE_PX) for edge in face_box(states))
    return render(identity, states, PORTRAIT_SIZE_PX), (x0, y0, x1 - x0, y1 - y0)


def write_portraits(folder: Path) -> None:
    """Write every portrait as a PNG that says where its face is."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LOOKS:
        pixels, region = draw_portrait(name)
        chunks = PngInfo()
        chunks.add_text(REGION_KEY, ",".join(map(str, region)))
        picture = Image.fromarray(to_bytes(pixels)[0].permute(1, 2, 0).contiguous().numpy())
        picture.save(folder / f"{name}.png", pnginfo=chunks, optimize=True)


@dataclass(frozen=True)
class Example:
    """A bundled voice.

    Attributes:
        voice: one of speech.HELD_OUT_VOICES.
        sentences: what is said.
        manner: "spoken", "chanted" or "sung".
        rate: words per minute.
        pitch: 0..99.
        pause_s: between the sentences.
    """

    voice: str
    sentences: tuple[str, ...]
    manner: str = "spoken"
    rate: int = 155
    pitch: int = 50
    pause_s: float = 0.0

    def speak(self) -> Speech:
        """The voice with its pauses, at an even level."""
        parts = [silence(0.15)]
        for sentence in self.sentences:
            if self.manner == "sung":
                parts.append(sing(sentence, random.Random(5), self.voice, self.rate, self.pitch))
            elif self.manner == "chanted":
                parts.append(chant(sentence, self.voice, self.rate, self.pitch))
            else:
                parts.append(synthesize(sentence, self.voice, self.rate, self.pitch))
            parts.append(silence(self.pause_s))
        speech = join(parts)
        return replace(speech, samples=speech.samples * np.float32(_PEAK / np.abs(speech.samples).max()))


VOICES = {
    "hello-spoken-f3": Example(
        "en-us+f3", ("Hello! I am a drawn avatar, and I move my mouth to whatever you want me to say.",)
    ),
    "pauses-spoken-m3": Example(
        "en-us+m3", ("One moment, please.", "Let me think about it.", "Yes, that was easy."), pause_s=0.7
    ),
    "rhyme-chanted-rp": Example(
        "en-gb-x-rp+m6",
        ("Over the mountain, over the sea, a bird and a rabbit are coming to tea.",),
        "chanted",
        110,
    ),
    "song-sung-edward": Example(
        "en-us+edward", ("Row the boat home over silver blue water.",), "sung", 130, 30
    ),
}

_README = """# Voices

Made with espeak-ng by `training/make_assets.py`, in voices that no training has heard. 16 kHz, mono.

| file | voice | manner | text |
| --- | --- | --- | --- |
{rows}
"""


def write_flac(path: Path, samples: np.ndarray, sample_rate_hz: int) -> None:
    """Write float32 samples [N] in -1..1 as 16-bit mono FLAC."""
    pcm = np.round(samples * 32767).astype(np.int16)[None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=sample_rate_hz, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = sample_rate_hz
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def write_voices(folder: Path) -> None:
    """Write every voice as FLAC, and a README that says what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, example in VOICES.items():
        speech = example.speak()
        write_flac(folder / f"{name}.flac", speech.samples, speech.sample_rate_hz)
        pauses = f", pauses of {example.pause_s:g} s" if example.pause_s else ""
        rows.append(
            f"| {name}.flac | {example.voice} | {example.manner}{pauses} | {' '.join(example.sentences)} |"
        )
        logger.info("%s: %.1f s", name, speech.duration_s)
    (folder / "README.md").write_text(_README.format(rows="\n".join(rows)), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "assets")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    write_portraits(arguments.out / "portraits")
    write_voices(arguments.out / "voices")


if __name__ == "__main__":
    main()
