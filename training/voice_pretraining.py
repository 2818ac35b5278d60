"""Pre-training of the bundled model's voice encoder: mouth shapes and phones from synthetic speech.

The paper takes a wav2vec that was pre-trained on recorded speech; the small encoder of the avatar model is
trained here, with two linear heads on the hidden states of all its blocks: the mouth (mean squared error) and
the phone (cross-entropy). The heads are left behind; the hidden states are what EMO's audio layers read.
"""

import argparse
import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..models.voice_encoder import VoiceEncoder, VoiceEncoderConfig, save_voice_encoder
from .avatars.speech_corpus import SpeechCorpus
from .avatars.visemes import MOUTH_CHANNELS
from .loop import LoopSettings, TrainingRun
from .record import code_version
from .voice_augmentation import AugmentationSettings
from .voice_windows import PretrainingSettings, WindowMaker, targets_at

logger = logging.getLogger(__name__)


class VoicePretrainer(nn.Module):
    """The encoder with its two heads."""

    def __init__(self, config: VoiceEncoderConfig, phone_count: int):
        super().__init__()
        self.encoder = VoiceEncoder(config)
        self.mouth_head = nn.Linear(config.layers * config.width, len(MOUTH_CHANNELS))
        self.phone_head = nn.Linear(config.layers * config.width, phone_count)

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, T, L, C] -> mouth [B, T, 4] and phone logits [B, T, P]."""
        flat = features.flatten(2)
        return self.mouth_head(flat), self.phone_head(flat)


def pretraining_terms(
    pretrainer: VoicePretrainer, batch: tuple[Tensor, Tensor, Tensor], settings: PretrainingSettings
) -> dict[str, Tensor]:
    """Loss terms of a batch whose waveforms have their level already."""
    waveforms, curves, phones = batch
    mouth, logits = pretrainer.heads(pretrainer.encoder.encode_normalised(waveforms))
    errors = (mouth - curves).square().mean(dim=(0, 1))  # [4]
    cross_entropy = F.cross_entropy(logits.flatten(0, 1), phones.flatten())
    loss = (errors * errors.new_tensor(settings.mouth_weights)).sum() + settings.phone_weight * cross_entropy
    return {"loss": loss, "open_mse": errors[0], "cross_entropy": cross_entropy}


@torch.no_grad()
def held_out_figures(
    pretrainer: VoicePretrainer, corpus: SpeechCorpus, noise_snr_db: float | None = None
) -> dict[str, float]:
    """Correlation of each mouth channel with the truth, and the share of frames whose phone is right.

    Args:
        corpus: voices that training never heard.
        noise_snr_db: level of white noise added first; None for none.

    Returns:
        "open", "wide", "round", "teeth": Pearson correlation over all frames; "phones": 0..1; "open_swing":
        standard deviation of the estimate over that of the truth; "open_in_pauses": mean opening estimated
        where the truth is below 0.02 and the phone is silence.
    """
    pretrainer.eval()
    config = pretrainer.encoder.config
    estimates, truths, right, silent = [], [], [], []
    noise = torch.Generator().manual_seed(0)
    for index in range(len(corpus)):
        waveform = torch.from_numpy(corpus.samples(index))[None]
        if noise_snr_db is not None:
            level = waveform.std() * 10 ** (-noise_snr_db / 20)
            waveform = waveform + level * torch.randn(waveform.shape, generator=noise)
        mouth, logits = pretrainer.heads(pretrainer.encoder.encode_long(waveform))
        truth, phones = targets_at(corpus.curves(index), corpus.phones(index), config, mouth.shape[1])
        estimates.append(mouth[0].numpy())
        truths.append(truth)
        right.append(logits[0].argmax(-1).numpy() == phones)
        silent.append((truth[:, 0] < 0.02) & (phones == 0))
    pretrainer.train()
    estimate, truth = np.concatenate(estimates), np.concatenate(truths)
    figures = {
        name: float(np.corrcoef(estimate[:, channel], truth[:, channel])[0, 1])
        for channel, name in enumerate(MOUTH_CHANNELS)
    }
    figures["phones"] = float(np.concatenate(right).mean())
    figures["open_swing"] = float(estimate[:, 0].std() / truth[:, 0].std())
    figures["open_in_pauses"] = float(estimate[np.concatenate(silent), 0].mean())
    return {name: round(value, 4) for name, value in figures.items()}


def _refuse_unfit_corpora(corpus: SpeechCorpus, held_out: SpeechCorpus) -> None:
    if corpus.phone_names != held_out.phone_names:
        raise InputError(
            got="two corpora with different tables of phones",
            allowed="corpora written by one version of visemes.py",
            do="write both corpora again",
        )
    shared = {row.voice for row in corpus.utterances} & {row.voice for row in held_out.utterances}
    if shared:
        raise InputError(
            got=f"voices in both corpora: {sorted(shared)}",
            allowed="a held-out corpus of voices that training does not hear",
            do="write the held-out corpus with HELD_OUT_VOICES",
        )


def _corpus_figures(corpus: SpeechCorpus) -> dict[str, Any]:
    seconds = sum(corpus.duration_s(index) for index in range(len(corpus)))
    voices = {row.voice for row in corpus.utterances}
    return {"minutes": round(seconds / 60, 1), "voices": len(voices), "settings": corpus.settings}


def _earlier_record(out: Path) -> dict[str, Any] | None:
    """The record of the run that this one goes on from, if it came to its end."""
    if not out.exists():
        return None
    with safe_open(out, "pt") as file:
        return json.loads(file.metadata()["training"])


def pretrain(
    corpus: SpeechCorpus,
    held_out: SpeechCorpus,
    out: Path,
    checkpoint: Path,
    loop: LoopSettings,
    settings: PretrainingSettings,
    config: VoiceEncoderConfig,
    seed: int = 5,
) -> dict[str, Any]:
    """Train, or go on training from `checkpoint`, and write the averaged encoder to `out`.

    The heads stay in `checkpoint`. The training record goes into the metadata of `out`.

    Returns:
        The record: steps, seed, settings, commit, the held-out figures on clean and on noisy speech, and
        under "earlier" the record of the run that this one went on from.

    Raises:
        InputError: the two corpora share a voice, or were written with different tables of phones.
    """
    _refuse_unfit_corpora(corpus, held_out)
    torch.manual_seed(seed)
    pretrainer = VoicePretrainer(config, len(corpus.phone_names))
    earlier = _earlier_record(out) if checkpoint.exists() else None
    run = TrainingRun(pretrainer, loop, checkpoint, seed)
    windows = WindowMaker(corpus, config, settings)
    run.run(lambda generator: pretraining_terms(pretrainer, windows.batch(generator), settings))
    run.load_averaged_weights()
    record = {
        "task": "mouth shapes and phones of synthetic speech",
        "steps": run.step,
        "seed": seed,
        "commit": code_version(),
        "corpus": _corpus_figures(corpus),
        "loop": asdict(loop),
        "settings": asdict(settings),
        "held_out_clean": held_out_figures(pretrainer, held_out),
        "held_out_noise_15_db": held_out_figures(pretrainer, held_out, noise_snr_db=15),
        "earlier": earlier,
    }
    save_voice_encoder(out, pretrainer.encoder, record)
    logger.info("%s: %s", out, json.dumps(record["held_out_clean"]))
    return record


def steps_for(
    minutes: float, corpus: SpeechCorpus, settings: PretrainingSettings, config: VoiceEncoderConfig
) -> int:
    """Steps that fit into the time on this machine, from timing a few on a network thrown away."""
    pretrainer = VoicePretrainer(config, len(corpus.phone_names))
    windows = WindowMaker(corpus, config, settings)
    generator = torch.Generator().manual_seed(0)
    durations_s = []
    for _ in range(6):
        started = time.monotonic()
        pretraining_terms(pretrainer, windows.batch(generator), settings)["loss"].backward()
        durations_s.append(time.monotonic() - started)
    # The first one also pays for memory and kernels.
    return max(1, int(minutes * 60 / np.mean(durations_s[1:])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="training speech (write_corpus)")
    parser.add_argument("--held-out", type=Path, required=True, help="speech of other voices (write_corpus)")
    parser.add_argument("--out", type=Path, required=True, help="the encoder's safetensors file")
    parser.add_argument("--checkpoint", type=Path, required=True, help="resumed from if it exists")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="about this long, on this machine")
    length.add_argument("--steps", type=int)
    parser.add_argument(
        "--augmentation",
        choices=("wide", "moderate"),
        default="wide",
        help="train wide first, then go on from the same checkpoint with moderate and more steps",
    )
    parser.add_argument("--orthogonal", action="store_true", help="move matrices by orthogonal momentum")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    corpus, held_out = SpeechCorpus.load(arguments.corpus), SpeechCorpus.load(arguments.held_out)
    wide = arguments.augmentation == "wide"
    augmentation = AugmentationSettings() if wide else AugmentationSettings.moderate()
    settings, config = PretrainingSettings(augmentation=augmentation), VoiceEncoderConfig()
    steps = arguments.steps or steps_for(arguments.minutes, corpus, settings, config)
    loop = LoopSettings(steps, decay_share=0.6, weight_decay=0.01, orthogonal=arguments.orthogonal)
    pretrain(corpus, held_out, arguments.out, arguments.checkpoint, loop, settings, config, arguments.seed)


if __name__ == "__main__":
    main()
