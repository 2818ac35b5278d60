"""Voice features of a whole corpus, computed once by the frozen voice encoder."""

import argparse
import logging
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..models.voice_encoder import VoiceEncoder, load_voice_encoder
from .avatars.motion import FPS
from .avatars.speech_corpus import SpeechCorpus

logger = logging.getLogger(__name__)


@torch.no_grad()
def write_voice_features(path: Path, corpus: SpeechCorpus, encoder: VoiceEncoder) -> None:
    """Write features float16 [sum of T, L*C] at 25 fps and offsets int64 [U + 1] to a safetensors file."""
    parts = []
    for index in range(len(corpus)):
        samples = torch.from_numpy(corpus.samples(index))
        frame_count = len(samples) * FPS // corpus.sample_rate_hz
        parts.append(encoder.features_at(samples, frame_count, FPS).flatten(1).half())
    offsets = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
    save_file({"features": torch.cat(parts), "offsets": offsets}, path)
    logger.info("%s: %d frames of %d utterances", path, offsets[-1], len(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--voice-encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    write_voice_features(
        arguments.out, SpeechCorpus.load(arguments.corpus), load_voice_encoder(arguments.voice_encoder)
    )


if __name__ == "__main__":
    main()
