"""The held-out set: avatars and voices that training never saw, in one small file that needs no espeak."""

import argparse
import json
import logging
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from .avatars.identity import AvatarIdentity, draw_identities
from .avatars.motion import FPS, face_box, head_rotation_speed
from .avatars.renderer import render
from .avatars.speech_corpus import SpeechCorpus
from .avatars.state import neutral_states
from .dataset import utterance_states

logger = logging.getLogger(__name__)

KIND = "evaluation_set"
BUNDLED_EVALUATION_SET = Path(__file__).resolve().parent / "evaluation" / "heldout.safetensors"
SLOWEST, FASTEST = 0.2, 1.0  # degrees per frame; the clips' head speeds are spread evenly between

_TRACKS_TRIED = 40  # of which the one nearest to the wished speed is kept
_SILENT_RMS = 0.01  # of the clip's loudest frame
_SILENT_MARGIN_FRAMES = 4  # the mouth closes and opens a little beside the sound


@dataclass(frozen=True)
class EvaluationSet:
    """B clips of T frames: what was said, what the avatar then did, and its portrait.

    Attributes:
        samples: int16 [B, N], full scale 32767.
        states: true states [B, T, 14] at 25 fps.
        identities: the B avatars.
        portrait_states: [B, 14], mouth shut, a mild pose.
        kinds: of each utterance, one of speech.UTTERANCE_KINDS.
        voices: espeak's voice of each utterance.
        texts: of the whole utterance a clip is cut from.
        sample_rate_hz: of the samples.
    """

    samples: Tensor
    states: Tensor
    identities: AvatarIdentity
    portrait_states: Tensor
    kinds: tuple[str, ...]
    voices: tuple[str, ...]
    texts: tuple[str, ...]
    sample_rate_hz: int = SpeechCorpus.sample_rate_hz

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def frame_count(self) -> int:
        """T, frames of a clip."""
        return self.states.shape[1]

    def voice(self, clip: int) -> Tensor:
        """Voice of a clip, float32 [N]."""
        return self.samples[clip].float() / 32767

    def speed(self, clip: int) -> float:
        """Mean head speed of a clip in degrees per frame."""
        return float(head_rotation_speed(self.states[clip]).mean())

    def region(self, clip: int) -> tuple[float, float, float, float]:
        """Where the face moves in a clip: the union (x0, y0, x1, y1) over its frames, in 0..1."""
        return face_box(self.states[clip])

    def portrait(self, clip: int, size_px: int) -> Tensor:
        """Portrait of a clip's avatar [1, 3, S, S]."""
        return render(self.identities.select([clip]), self.portrait_states[clip : clip + 1], size_px)

    def truth(self, clip: int, size_px: int) -> Tensor:
        """What the avatar did [T, 3, S, S]."""
        identity = self.identities.select([clip]).repeat_interleave(self.frame_count)
        return render(identity, self.states[clip], size_px)

    @cached_property
    def silent(self) -> Tensor:
        """Frames [B, T] (bool) of pauses: no sound in them nor in the frames around."""
        length = self.sample_rate_hz // FPS
        frames = self.samples[:, : self.frame_count * length].float().unflatten(1, (-1, length))
        rms = frames.square().mean(2).sqrt()
        loud = (rms > _SILENT_RMS * rms.amax(1, keepdim=True)).float()
        reach = _SILENT_MARGIN_FRAMES
        return F.max_pool1d(loud, 2 * reach + 1, 1, reach) == 0

    def first(self, clips: int) -> "EvaluationSet":
        """The first clips alone, for a quicker look.

        Raises:
            InputError: there are not as many.
        """
        if not 1 <= clips <= len(self):
            raise InputError(got=f"{clips} clips", allowed=f"1 to {len(self)}", do="ask for fewer clips")
        rows = slice(0, clips)
        return EvaluationSet(
            self.samples[rows],
            self.states[rows],
            self.identities.select(rows),
            self.portrait_states[rows],
            self.kinds[rows],
            self.voices[rows],
            self.texts[rows],
        )

    @classmethod
    def load(cls, path: Path = BUNDLED_EVALUATION_SET) -> "EvaluationSet":
        """Read a set written by `write_evaluation_set`; without a path, the bundled one.

        Raises:
            InputError: the file is missing, damaged, or no evaluation set.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, SafetensorError) as error:
            raise InputError(
                got=f"{path}: {error}",
                allowed="a whole safetensors file",
                do="write the evaluation set again",
            ) from error
        if metadata.get("kind") != KIND:
            raise InputError(
                got=f"{path} of kind {metadata.get('kind')!r}",
                allowed=f"a file of kind {KIND!r}",
                do="give a file made by write_evaluation_set",
            )
        looks = {field.name: tensors[f"identity.{field.name}"] for field in fields(AvatarIdentity)}
        utterances = json.loads(metadata["utterances"])
        return cls(
            tensors["samples"],
            tensors["states"].float(),
            AvatarIdentity(**looks),
            tensors["portrait_states"],
            kinds=tuple(row["kind"] for row in utterances),
            voices=tuple(row["voice"] for row in utterances),
            texts=tuple(row["text"] for row in utterances),
        )


def _choose_utterances(
    corpus: SpeechCorpus, clips: int, seconds: float, generator: torch.Generator
) -> list[int]:
    """A quarter with long pauses, a quarter sung or chanted, the rest spoken; none twice."""
    mixed = torch.randperm(len(corpus), generator=generator).tolist()
    long_enough = [index for index in mixed if corpus.duration_s(index) > seconds]
    if len(long_enough) < clips:
        raise InputError(
            got=f"a corpus with {len(long_enough)} utterances of more than {seconds:g} s",
            allowed=f"{clips} or more",
            do="write a larger corpus with a larger least length, or ask for fewer clips",
        )
    paused = [index for index in long_enough if corpus.utterances[index].pauses_s][: clips // 4]
    spoken = ("sentence", "nonsense")
    others = [index for index in long_enough if index not in paused]
    sung = [index for index in others if corpus.utterances[index].kind not in spoken][: clips // 4]
    plain = [index for index in others if index not in sung]
    chosen = paused + sung + plain[: clips - len(paused) - len(sung)]
    return [chosen[place] for place in torch.randperm(clips, generator=generator).tolist()]


def _first_frame(corpus: SpeechCorpus, index: int, frame_count: int, generator: torch.Generator) -> int:
    """Where a clip starts in its utterance: with its long pause in the middle, if it has one."""
    last = int(corpus.duration_s(index) * FPS) - frame_count
    start = int(torch.randint(last + 1, (), generator=generator))
    if corpus.utterances[index].pauses_s:
        middle_s = sum(corpus.utterances[index].pauses_s[0]) / 2
        start = min(max(round(middle_s * FPS) - frame_count // 2, 0), last)
    return start


def _states_at_speed(
    corpus: SpeechCorpus, index: int, frames: slice, speed: float, generator: torch.Generator
) -> Tensor:
    """States [T, 14] of those frames whose head speed is near the one wished for."""
    tracks = [utterance_states(corpus, index, speed, generator)[frames] for _ in range(_TRACKS_TRIED)]
    return min(tracks, key=lambda states: abs(float(head_rotation_speed(states).mean()) - speed))


def write_evaluation_set(
    path: Path, corpus: SpeechCorpus, clips: int = 16, seconds: float = 5.0, seed: int = 880_001
) -> None:
    """Draw avatars and let them speak the utterances of a corpus of held-out voices.

    Tensors: samples int16 [B, N]; states float16 [B, T, 14]; portrait_states [B, 14]; identity.* [B, ...].

    Raises:
        InputError: the corpus has too few utterances of that length.
    """
    generator = torch.Generator().manual_seed(seed)
    identities = draw_identities(clips, generator)
    portraits = neutral_states(clips, generator)
    chosen = _choose_utterances(corpus, clips, seconds, generator)
    speeds = torch.linspace(SLOWEST, FASTEST, clips)[torch.randperm(clips, generator=generator)]
    frame_count, samples_per_frame = round(seconds * FPS), corpus.sample_rate_hz // FPS
    samples, states = [], []
    for index, speed in zip(chosen, speeds.tolist(), strict=True):
        first = _first_frame(corpus, index, frame_count, generator)
        voice = torch.from_numpy(corpus.samples(index))[first * samples_per_frame :]
        samples.append((voice[: frame_count * samples_per_frame] * 32767).round().to(torch.int16))
        frames = slice(first, first + frame_count)
        states.append(_states_at_speed(corpus, index, frames, speed, generator).half())
    tensors = {"samples": torch.stack(samples), "states": torch.stack(states), "portrait_states": portraits}
    for field in fields(AvatarIdentity):
        tensors[f"identity.{field.name}"] = getattr(identities, field.name).contiguous()
    said = [corpus.utterances[index] for index in chosen]
    rows = [{"kind": row.kind, "voice": row.voice, "text": row.text} for row in said]
    save_file(tensors, path, {"kind": KIND, "seed": str(seed), "utterances": json.dumps(rows)})
    logger.info("%s: %d clips of %.1f s", path, clips, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--corpus", type=Path, required=True, help="of held-out voices, utterances over 5.5 s"
    )
    parser.add_argument("--out", type=Path, default=BUNDLED_EVALUATION_SET)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    write_evaluation_set(
        arguments.out, SpeechCorpus.load(arguments.corpus), arguments.clips, arguments.seconds
    )


if __name__ == "__main__":
    main()
