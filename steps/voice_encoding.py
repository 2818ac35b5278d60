"""A voice -> the features that every frame of the video hears, all at once or window by window."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import InputError
from ..models.audio_layers import feature_windows
from ..models.build import EmoNetworks
from ..models.frame_features import features_heard, resample_features
from ..models.voice_encoder import SAMPLE_RATE_HZ, ChunkSpan, VoiceEncoder
from .resampling import resampled, resampled_count
from .timeline import Timeline
from .voice import VoiceSource

# A window of frames touches two neighbouring chunks at most.
_CHUNKS_KEPT = 2

# Fewer than the frames of a chunk at one frame per second.
_FRAMES_AT_ONCE = 16


def encoder_samples(voice: VoiceSource) -> Tensor:
    """A whole voice at the encoders' rate [N]."""
    return torch.cat(list(resampled(voice.blocks(), voice.sample_rate_hz, SAMPLE_RATE_HZ)))


@torch.inference_mode()
def encode_voice(
    networks: EmoNetworks, voice: VoiceSource, timeline: Timeline, device: torch.device
) -> Tensor:
    """Voice features of all generated frames [1, padded frames, D], the padded tail included.

    A long voice is encoded in overlapping chunks; what grows with its length are the features themselves.
    """
    if networks.config.audio.features != "resampled":
        raise InputError(
            got=f"the model {networks.config.name}, which hears the voice in its own way",
            allowed="a model of this project, block by block",
            do="use `comfyui-emo talk --model`, which knows that way",
        )
    samples = encoder_samples(voice).to(device)
    encoder: VoiceEncoder = networks.voice_encoder  # type: ignore[assignment]
    features = encoder.features_at(samples, timeline.padded_frame_count, float(timeline.fps))
    return features.flatten(1)[None]


class VoiceStream:
    """The features of a voice's frames, encoded window by window while the video goes forward.

    The same features as `encode_voice` gives, up to rounding, in the memory of two chunks.
    """

    def __init__(self, encoder: VoiceEncoder, voice: VoiceSource, timeline: Timeline, device: torch.device):
        """Hears the voice through once, for its level; InputError if it is shorter than one feature."""
        self._encoder, self._voice, self._timeline, self._device = encoder, voice, timeline, device
        count = resampled_count(voice.sample_count, voice.sample_rate_hz, SAMPLE_RATE_HZ)
        self._total = encoder.config.feature_count(count)
        self._spans = encoder.chunk_spans(self._total)
        self._level = self._variance_and_mean()
        self._samples = _SampleReader(voice)
        self._chunks: OrderedDict[int, Tensor] = OrderedDict()  # index -> [T, L, C]

    def windows(self, first_frame: int, count: int, reach: int) -> Tensor:
        """`count` frames from `first_frame`, each with `reach` neighbours: [1, count, 2 * reach + 1, D]."""
        low = max(0, first_frame - reach)
        high = min(first_frame + count + reach, self._timeline.padded_frame_count)
        return feature_windows(self._frames(low, high - low)[None], reach, first_frame - low, count)

    def parts(self) -> Iterator[Tensor]:
        """The features of all frames, a few at a time, each once: [n, D]."""
        count = self._timeline.padded_frame_count
        for first in range(0, count, _FRAMES_AT_ONCE):
            yield self._frames(first, min(_FRAMES_AT_ONCE, count - first))

    def _frames(self, first_frame: int, count: int) -> Tensor:
        """Features of frames [count, D]."""
        config, fps = self._encoder.config, float(self._timeline.fps)
        low, high = features_heard(first_frame, count, fps, self._total, config)
        first = bisect_right(self._spans, low, key=lambda span: span.last)
        end = bisect_left(self._spans, high, key=lambda span: span.first)
        features = torch.cat([self._chunk(index) for index in range(first, end)])
        start = self._spans[first].first
        return resample_features(features, count, fps, config, first_frame, start).flatten(1)

    @torch.inference_mode()
    def _chunk(self, index: int) -> Tensor:
        """The features of a chunk [T, L, C]."""
        if index not in self._chunks:
            span: ChunkSpan = self._spans[index]
            samples = self._samples.read(*self._encoder.samples_of(span)).to(self._device)
            levelled = self._encoder.levelled(samples[None], *self._level)
            self._chunks[index] = self._encoder.encode_chunk(levelled, span)[0]
            if len(self._chunks) > _CHUNKS_KEPT:
                self._chunks.popitem(last=False)
        return self._chunks[index]

    def _variance_and_mean(self) -> tuple[Tensor, Tensor]:
        """Of the whole voice at the encoder's rate, [1, 1] each."""
        count, total, squares = 0, 0.0, 0.0
        for block in resampled(self._voice.blocks(), self._voice.sample_rate_hz, SAMPLE_RATE_HZ):
            exact = block.double()
            count, total = count + len(block), total + float(exact.sum())
            squares += float(exact.square().sum())
        mean = total / count
        variance = max(0.0, squares / count - mean**2)
        return torch.tensor([[variance]], device=self._device), torch.tensor([[mean]], device=self._device)


class _SampleReader:
    """Spans of a voice at the encoder's rate, read forward; a span from before starts the voice again."""

    def __init__(self, voice: VoiceSource):
        self._voice = voice
        self._start()

    def _start(self) -> None:
        voice = self._voice
        self._blocks = resampled(voice.blocks(), voice.sample_rate_hz, SAMPLE_RATE_HZ)
        self._first = 0
        self._held = torch.zeros(0)

    def read(self, first: int, last: int) -> Tensor:
        """Samples [last - first]."""
        if first < self._first:
            self._start()
        while self._first + len(self._held) < last:
            self._held = torch.cat([self._held, next(self._blocks)])
            passed = min(max(0, first - self._first), len(self._held))
            self._held = self._held[passed:]
            self._first += passed
        return self._held[first - self._first : last - self._first]
