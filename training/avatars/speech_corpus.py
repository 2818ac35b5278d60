"""Hours of synthetic speech with mouth curves in one safetensors file."""

import argparse
import json
import logging
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...errors import InputError
from .speech import (
    ENCODER_VOICES,
    HELD_OUT_VOICES,
    SAMPLE_RATE_HZ,
    TRAINING_VOICES,
    Speech,
    join,
    mouth_curves,
    phone_classes,
    random_utterance,
    silence,
)
from .visemes import CURVES_FPS, PHONES

logger = logging.getLogger(__name__)

KIND = "speech_corpus"
_VOICES = {"training": TRAINING_VOICES, "encoder": ENCODER_VOICES, "held-out": HELD_OUT_VOICES}
_KIND_SHARES = {"sentence": 0.58, "nonsense": 0.18, "chanted": 0.08, "sung": 0.16}


@dataclass(frozen=True)
class CorpusSettings:
    """What a corpus shall hold.

    Attributes:
        minutes: at least this much audio.
        voices: taken in turn.
        seed: of texts, rates, pitches and pauses.
        least_s: every utterance is at least this long; sentences are added until it is.
        pause_share: share of the utterances with a pause of 0.5 to 1 s between two sentences.
    """

    minutes: float
    voices: tuple[str, ...] = TRAINING_VOICES
    seed: int = 0
    least_s: float = 2.5
    pause_share: float = 0.25

    def __post_init__(self) -> None:
        if self.minutes <= 0 or not self.voices or not 0 <= self.pause_share <= 1:
            raise InputError(
                got=f"minutes {self.minutes}, {len(self.voices)} voices, pause_share {self.pause_share}",
                allowed="more than 0 minutes, at least one voice, pause_share in 0..1",
                do="change the corpus settings",
            )


@dataclass(frozen=True)
class Utterance:
    """What is known of one utterance.

    Attributes:
        kind: one of speech.UTTERANCE_KINDS.
        voice: espeak's voice.
        text: what is said.
        pauses_s: (start, end) of the long pauses put between its sentences.
    """

    kind: str
    voice: str
    text: str
    pauses_s: tuple[tuple[float, float], ...]


def _make_utterance(chance: random.Random, voice: str, settings: CorpusSettings) -> tuple[Speech, Utterance]:
    kind = chance.choices(list(_KIND_SHARES), list(_KIND_SHARES.values()))[0]
    paused = chance.random() < settings.pause_share
    parts, texts, pauses_s = [silence(chance.uniform(0, 0.3))], [], []
    while sum(part.duration_s for part in parts) < settings.least_s or (paused and not pauses_s):
        if texts and paused:
            start_s = sum(part.duration_s for part in parts)
            parts.append(silence(chance.uniform(0.5, 1.0)))
            pauses_s.append((round(start_s, 3), round(start_s + parts[-1].duration_s, 3)))
        spoken, text = random_utterance(chance, voice, kind)
        parts.append(spoken)
        texts.append(text)
    speech = join(parts)
    loudness = chance.uniform(0.3, 0.9) / max(float(np.abs(speech.samples).max()), 1e-6)
    loud = Speech(speech.samples * np.float32(loudness), speech.phonemes)
    return loud, Utterance(kind, voice, " ".join(texts), tuple(pauses_s))


def write_corpus(path: Path, settings: CorpusSettings) -> None:
    """Make the utterances and write them.

    Tensors: samples int16 [N] and curves float16 [T, 4] / phones uint8 [T] at 100 Hz, all utterances one
    after the other; sample_offsets and curve_offsets int64 [U + 1]. The seed fixes voices, texts, rates and
    pauses; espeak's own breath noise and timing vary a little (milliseconds) with what it spoke before.

    Raises:
        DependencyError: espeakng-loader is not installed.
    """
    chance = random.Random(settings.seed)
    samples, curves, phones, utterances = [], [], [], []
    seconds = 0.0
    while seconds < settings.minutes * 60:
        voice = settings.voices[len(utterances) % len(settings.voices)]
        speech, utterance = _make_utterance(chance, voice, settings)
        samples.append(np.round(speech.samples * 32767).astype(np.int16))
        curves.append(mouth_curves(speech).astype(np.float16))
        phones.append(phone_classes(speech).astype(np.uint8))
        utterances.append(asdict(utterance))
        seconds += speech.duration_s
    tensors = {
        "samples": np.concatenate(samples),
        "curves": np.concatenate(curves),
        "phones": np.concatenate(phones),
        "sample_offsets": np.cumsum([0, *map(len, samples)]),
        "curve_offsets": np.cumsum([0, *map(len, curves)]),
    }
    metadata = {
        "kind": KIND,
        "settings": json.dumps(asdict(settings)),
        "phones": json.dumps(PHONES),
        "utterances": json.dumps(utterances),
    }
    save_file(tensors, path, metadata)
    logger.info("%s: %d utterances, %.1f minutes", path, len(utterances), seconds / 60)


class SpeechCorpus:
    """A corpus as `write_corpus` leaves it; indices run over its utterances."""

    sample_rate_hz = SAMPLE_RATE_HZ
    curves_fps = CURVES_FPS

    def __init__(self, tensors: dict[str, np.ndarray], metadata: dict[str, str]):
        self._tensors = tensors
        self.settings: dict[str, Any] = json.loads(metadata["settings"])
        self.phone_names: tuple[str, ...] = tuple(json.loads(metadata["phones"]))
        self.utterances = tuple(
            Utterance(**{**row, "pauses_s": tuple(map(tuple, row["pauses_s"]))})
            for row in json.loads(metadata["utterances"])
        )

    @classmethod
    def load(cls, path: Path) -> "SpeechCorpus":
        """Read a corpus.

        Raises:
            InputError: the file is missing, damaged, or not a speech corpus.
        """
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, SafetensorError) as error:
            raise InputError(
                got=f"{path}: {error}", allowed="a whole safetensors file", do="write the corpus again"
            ) from error
        if metadata.get("kind") != KIND:
            raise InputError(
                got=f"{path} of kind {metadata.get('kind')!r}",
                allowed=f"a file of kind {KIND!r}",
                do="give a file made by write_corpus",
            )
        return cls(tensors, metadata)

    def __len__(self) -> int:
        return len(self.utterances)

    def _rows(self, name: str, offsets: str, index: int) -> np.ndarray:
        first, last = self._tensors[offsets][index : index + 2]
        return self._tensors[name][first:last]

    def samples(self, index: int) -> np.ndarray:
        """Voice of an utterance, float32 [N] at 16 kHz."""
        return self._rows("samples", "sample_offsets", index).astype(np.float32) / 32767

    def curves(self, index: int) -> np.ndarray:
        """Its mouth (open, wide, round, teeth), float32 [T, 4] at 100 Hz."""
        return self._rows("curves", "curve_offsets", index).astype(np.float32)

    def phones(self, index: int) -> np.ndarray:
        """Its phones, int64 [T] at 100 Hz, indices into `phone_names`."""
        return self._rows("phones", "curve_offsets", index).astype(np.int64)

    def duration_s(self, index: int) -> float:
        return len(self._rows("samples", "sample_offsets", index)) / SAMPLE_RATE_HZ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument(
        "--voices",
        choices=_VOICES,
        default="training",
        help="espeak's own (training), those and drawn ones (encoder), those kept out of training (held-out)",
    )
    parser.add_argument("--least-s", type=float, default=2.5, help="least length of an utterance in seconds")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    voices = _VOICES[arguments.voices]
    settings = CorpusSettings(arguments.minutes, voices, arguments.seed, arguments.least_s)
    write_corpus(arguments.out, settings)


if __name__ == "__main__":
    main()
