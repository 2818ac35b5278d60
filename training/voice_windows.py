"""Windows of augmented training speech with the mouth and the phone of every encoder feature."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..models.voice_encoder import SAMPLE_RATE_HZ, VoiceEncoderConfig
from .avatars.speech_corpus import SpeechCorpus
from .avatars.visemes import CURVES_FPS, REST_SHAPE, mean_over
from .voice_augmentation import (
    AugmentationSettings,
    muted,
    stretched,
    through_room_and_microphone,
    with_background,
)


@dataclass(frozen=True)
class PretrainingSettings:
    """What a batch is and how its loss is made.

    Attributes:
        batch_size: windows in a batch.
        window_s: length of a window.
        mouth_weights: of the squared errors of open, wide, round, teeth.
        phone_weight: of the cross-entropy.
        augmentation: how the speech is varied.
    """

    batch_size: int = 16
    window_s: float = 2.0
    mouth_weights: tuple[float, float, float, float] = (6.0, 3.0, 3.0, 3.0)
    phone_weight: float = 0.3
    augmentation: AugmentationSettings = AugmentationSettings()

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.window_s < 0.5:
            raise InputError(
                got=f"batch_size {self.batch_size}, window_s {self.window_s}",
                allowed="a batch of 1 or more windows of 0.5 s or more",
                do="change the pre-training settings",
            )


def targets_at(
    curves: np.ndarray,
    phones: np.ndarray,
    config: VoiceEncoderConfig,
    count: int,
    start_s: float = 0.0,
    speed: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Mouth and phone of `count` features of a window that starts at `start_s` and plays at `speed`.

    The mouth is the mean over the 20 ms around the feature's moment, the phone the one at that moment.

    Returns:
        float32 [count, 4] and int64 [count].
    """
    hop_s = 1 / config.feature_rate_hz
    moments_s = config.first_feature_s + np.arange(count) * hop_s
    centres_s = start_s + moments_s * speed
    mouth = mean_over(curves, CURVES_FPS, centres_s - speed * hop_s / 2, centres_s + speed * hop_s / 2)
    index = (centres_s * CURVES_FPS).astype(np.int64)
    past_end = index >= len(phones)
    phone = np.where(past_end, 0, phones[np.minimum(index, len(phones) - 1)])
    mouth[past_end] = REST_SHAPE
    return mouth, phone


class WindowMaker:
    """Draws augmented windows of speech with their targets."""

    def __init__(self, corpus: SpeechCorpus, config: VoiceEncoderConfig, settings: PretrainingSettings):
        self.corpus, self.config, self.settings = corpus, config, settings
        self.sample_count = round(settings.window_s * SAMPLE_RATE_HZ)
        self.feature_count = config.feature_count(self.sample_count)
        durations_s = np.array([corpus.duration_s(index) for index in range(len(corpus))])
        self._shares = durations_s / durations_s.sum()

    def window(self, dice: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Samples [N], mouth [T, 4] and phones [T] of one window."""
        augmentation = self.settings.augmentation
        index = int(dice.choice(len(self.corpus), p=self._shares))
        whole = self.corpus.samples(index)
        speed = dice.uniform(*augmentation.speeds)
        spare_s = max(0.0, len(whole) / SAMPLE_RATE_HZ - self.settings.window_s * speed)
        start_s = dice.uniform(0, spare_s)
        positions = start_s * SAMPLE_RATE_HZ + np.arange(self.sample_count) * speed
        samples = stretched(whole / max(float(whole.std()), 1e-4), positions)
        truth = self.corpus.curves(index), self.corpus.phones(index)
        curves, phones = targets_at(*truth, self.config, self.feature_count, start_s, speed)
        voiced = dice.random() >= augmentation.no_voice_chance
        if not voiced:
            samples, curves, phones = muted(samples * 0, curves, phones, 0, self.feature_count)
        elif dice.random() < augmentation.mute_chance:
            length = int(dice.uniform(*augmentation.mute_s) * self.config.feature_rate_hz)
            first = int(dice.integers(-length // 2, self.feature_count))
            samples, curves, phones = muted(samples, curves, phones, max(first, 0), max(first + length, 0))
        samples = through_room_and_microphone(samples, dice, augmentation)
        return with_background(samples, dice, augmentation, voiced), curves, phones

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Waveforms [B, N], mouths [B, T, 4], phones [B, T]."""
        dice = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        windows = [self.window(dice) for _ in range(self.settings.batch_size)]
        waveforms, curves, phones = (np.stack(parts) for parts in zip(*windows, strict=True))
        return torch.from_numpy(waveforms), torch.from_numpy(curves), torch.from_numpy(phones)
