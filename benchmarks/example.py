"""What the benchmarks animate: a bundled portrait, and a bundled voice repeated to a length."""

import wave
from pathlib import Path

from ..models.checkpoints.emo import LoadedModel
from ..steps.face_region import find_face_region
from ..steps.head_motion import motion_of_style
from ..steps.portrait import read_portrait
from ..steps.sampling_settings import SamplingSettings
from ..steps.talk import TalkRequest
from ..steps.voice import Voice, read_voice

ASSETS = Path(__file__).resolve().parent.parent / "assets"


def write_long_voice(path: Path, seconds: float) -> None:
    """Write the first bundled voice, over and over up to a length, to a wav file, without holding it all."""
    spoken = read_voice(sorted((ASSETS / "voices").glob("*.flac"))[0])
    samples = (spoken.samples.clamp(-1, 1) * 32767).round().short().numpy().astype("<i2").tobytes()
    wanted = 2 * round(seconds * spoken.sample_rate_hz)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, spoken.sample_rate_hz, 0, "NONE", "none"))
        for start in range(0, wanted, len(samples)):
            file.writeframesraw(samples[: wanted - start])


def example_request(model: LoadedModel, seconds: float) -> TalkRequest:
    """The first bundled portrait says the first bundled voice, over and over, with the model's defaults."""
    portrait = read_portrait(sorted((ASSETS / "portraits").glob("*.png"))[0])
    spoken = read_voice(sorted((ASSETS / "voices").glob("*.flac"))[0])
    wanted = round(seconds * spoken.sample_rate_hz)
    samples = spoken.samples.repeat(-(-wanted // len(spoken.samples)))[:wanted]
    defaults = model.config.defaults
    return TalkRequest(
        portrait=portrait,
        region=find_face_region(portrait),
        voice=Voice(samples, spoken.sample_rate_hz, spoken.source),
        motion=motion_of_style("normal", defaults),
        sampling=SamplingSettings.of(defaults),
        fps=defaults.fps,
    )
