"""Speech without a synthesiser, for what only needs some corpus: tones that swell, and silence."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.training.avatars.speech_corpus import SpeechCorpus, Utterance


def tone_corpus(utterances: int, seconds: float) -> SpeechCorpus:
    """Tones that swell, with a mouth that opens along; the first one pauses in its middle."""
    count, curve_count = round(seconds * 16000), round(seconds * 100)
    level = np.abs(np.sin(np.arange(curve_count) / 20))
    level[curve_count // 2 - 40 : curve_count // 2 + 40] = 0
    samples = np.sin(np.arange(count) / 10) * np.repeat(level, 160) * 20000
    curves = np.stack([level, level * 0 + 0.4, level * 0, level * 0], 1)
    tensors = {
        "samples": np.tile(samples.astype(np.int16), utterances),
        "curves": np.tile(curves.astype(np.float16), (utterances, 1)),
        "phones": np.zeros(utterances * curve_count, np.uint8),
        "sample_offsets": np.arange(utterances + 1) * count,
        "curve_offsets": np.arange(utterances + 1) * curve_count,
    }
    pauses = [((seconds / 2 - 0.4, seconds / 2 + 0.4),)] + [()] * (utterances - 1)
    kinds = ["sentence", "sung"] * utterances
    rows = [Utterance(kinds[i], f"voice{i}", f"text {i}", pauses[i]) for i in range(utterances)]
    metadata = {
        "settings": "{}",
        "phones": '["silence"]',
        "utterances": json.dumps([asdict(row) for row in rows]),
    }
    return SpeechCorpus(tensors, metadata)


def write_silent_features(path: Path) -> None:
    """Voice features of one utterance of 100 moments in which nothing is said."""
    features = torch.zeros(100, avatar_config().audio.feature_width, dtype=torch.float16)
    save_file({"features": features, "offsets": torch.tensor([0, 100])}, path)
