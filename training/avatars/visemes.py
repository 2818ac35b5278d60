"""From phonemes with times to the shape of the mouth over time.

A mouth shape is four numbers in 0..1:
    open: 0 shut, 1 wide open.
    wide: spread of the corners, 0.45 at rest.
    round: rounded and pushed forward, as in "oo".
    teeth: upper teeth on the lower lip, as in "f".
"""

import numpy as np

MOUTH_CHANNELS = ("open", "wide", "round", "teeth")
REST_SHAPE = (0.0, 0.45, 0.0, 0.0)
CURVES_FPS = 100

_SMOOTHING_SIGMA_S = 0.032
# Lips meet before the closure is heard and part after it: without this the smoothing would never shut them.
_CLOSURE_MARGIN_S = 0.02
_GATE_WINDOW_S = 0.1
_GATE_SHARE_OF_LOUD = 0.06

# espeak mnemonics that share a mouth shape; two shapes mark a diphthong, which moves from one to the other.
_A, _E, _I, _O, _U = (
    (0.95, 0.50, 0.0, 0.0),
    (0.62, 0.80, 0.0, 0.0),
    (0.32, 1.0, 0.0, 0.0),
    (0.80, 0.15, 0.65, 0.0),
    (0.30, 0.0, 1.0, 0.0),
)
_SCHWA = (0.42, 0.45, 0.10, 0.0)
_Shapes = tuple[tuple[str, tuple[tuple[float, float, float, float], ...]], ...]
_VOWEL_SHAPES: _Shapes = (
    ("a a: A A: 0 aa 0#", (_A,)),
    ("V VR", ((0.80, 0.45, 0.0, 0.0),)),
    ("E E2 E: e e:", (_E,)),
    ("i i: I I2 I# y y:", (_I,)),
    ("O O2 O:", (_O,)),
    ("o o:", ((0.58, 0.05, 0.85, 0.0),)),
    ("u u: U U: W Y", (_U,)),
    ("@ @2 @5 3 3: @L @- a#", (_SCHWA,)),
    ("aI aI2 aI3", (_A, (0.42, 0.9, 0.0, 0.0))),
    ("aI@", (_A, _SCHWA)),
    ("aU aU@", (_A, (0.42, 0.05, 0.85, 0.0))),
    ("eI", (_E, _I)),
    ("OI", (_O, _I)),
    ("oU", ((0.60, 0.10, 0.80, 0.0), (0.38, 0.0, 0.95, 0.0))),
    ("i@ i@3 I@", (_I, _SCHWA)),
    ("e@", (_E, _SCHWA)),
    ("A@", (_A, _SCHWA)),
    ("O@ o@", (_O, _SCHWA)),
    ("U@", (_U, _SCHWA)),
)
_CONSONANT_SHAPES: _Shapes = (
    ("?", (_SCHWA,)),
    ("p b m", ((0.0, 0.45, 0.0, 0.0),)),
    ("f v", ((0.06, 0.5, 0.0, 1.0),)),
    ("T D", ((0.22, 0.5, 0.0, 0.3),)),
    ("t d n l s z t2 t# t[ d[ *", ((0.20, 0.65, 0.0, 0.0),)),
    ("S Z tS dZ", ((0.24, 0.2, 0.55, 0.0),)),
    ("k g N h x", ((0.34, 0.5, 0.0, 0.0),)),
    ("r R", ((0.28, 0.25, 0.40, 0.0),)),
    ("w w#", ((0.16, 0.0, 1.0, 0.0),)),
    ("j", ((0.24, 0.85, 0.0, 0.0),)),
)
_SHAPE_OF = {name: shapes for names, shapes in _VOWEL_SHAPES + _CONSONANT_SHAPES for name in names.split()}
_SILENCE, _OTHER = "silence", "other"
_BILABIALS = frozenset("p b m".split())
_OTHER_SHAPE = ((0.30, 0.5, 0.0, 0.0),)
# Every mnemonic is a class of its own: what sounds different is told apart, even where the mouth looks alike.
PHONES = (_SILENCE, *_SHAPE_OF, _OTHER)
_PHONE_IDS = {name: index for index, name in enumerate(PHONES)}
VOWELS = frozenset(name for names, _ in _VOWEL_SHAPES for name in names.split())


def phone(mnemonic: str) -> str:
    """The phone of an espeak mnemonic: stress and length marks dropped; pauses are "silence"."""
    name = mnemonic.strip("'`,%=_|;^\"!~-")
    if name in ("", ":"):
        return _SILENCE
    for candidate in (name, name.rstrip(":"), name[:2], name[:1]):
        if candidate in _SHAPE_OF:
            return candidate
    return _OTHER


def phone_ids(phonemes: list[tuple[float, str]], duration_s: float, fps: float = CURVES_FPS) -> np.ndarray:
    """Index into PHONES at the centre of every frame, int64 [ceil(duration * fps)]."""
    frame_count = int(np.ceil(duration_s * fps - 1e-6))
    centres_s = (np.arange(frame_count) + 0.5) / fps
    starts_s = np.array([start for start, _ in phonemes])
    names = np.array([0] + [_PHONE_IDS[phone(name)] for _, name in phonemes], dtype=np.int64)
    return names[np.searchsorted(starts_s, centres_s, side="right")]


def _level_gate(samples: np.ndarray, sample_rate_hz: int, fps: float, frame_count: int) -> np.ndarray:
    """1 where the voice sounds, falling to 0 in pauses, float [T]."""
    window = int(_GATE_WINDOW_S * sample_rate_hz)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centres = ((np.arange(frame_count) + 0.5) * sample_rate_hz / fps).astype(np.int64)
    first = np.clip(centres - window // 2, 0, len(samples))
    last = np.clip(centres + window // 2, 0, len(samples))
    level = np.sqrt(np.maximum(energy[last] - energy[first], 0) / window)
    loud = max(float(np.percentile(level, 95)), 1e-4)
    return np.clip(level / (_GATE_SHARE_OF_LOUD * loud), 0, 1)


def _paint(curves: np.ndarray, phonemes: list[tuple[float, str]], duration_s: float, fps: float) -> None:
    """Write every phoneme's shape into its frames; closures last, over their neighbours' edges."""
    ends_s = [start for start, _ in phonemes[1:]] + [duration_s]
    closures = []
    for (start_s, mnemonic), end_s in zip(phonemes, ends_s, strict=True):
        name = phone(mnemonic)
        if name == _SILENCE or end_s <= start_s:
            continue
        shapes = _SHAPE_OF.get(name, _OTHER_SHAPE)
        edges_s = np.linspace(start_s, end_s, len(shapes) + 1)
        for shape, low_s, high_s in zip(shapes, edges_s[:-1], edges_s[1:], strict=True):
            curves[round(low_s * fps) : max(round(high_s * fps), round(low_s * fps) + 1)] = shape
        if name in _BILABIALS:
            closures.append((start_s - _CLOSURE_MARGIN_S, end_s + _CLOSURE_MARGIN_S))
    for low_s, high_s in closures:
        curves[max(0, round(low_s * fps)) : round(high_s * fps), 0] = 0.0


def mouth_curves_of(
    samples: np.ndarray, sample_rate_hz: int, phonemes: list[tuple[float, str]], fps: float = CURVES_FPS
) -> np.ndarray:
    """Mouth shape over time, float32 [ceil(duration * fps), 4]; row j covers [j / fps, (j + 1) / fps).

    Shapes are smoothed with a Gaussian of 32 ms, as lips move; where the voice pauses the mouth shuts.
    """
    duration_s = len(samples) / sample_rate_hz
    frame_count = int(np.ceil(duration_s * fps - 1e-6))
    curves = np.tile(np.array(REST_SHAPE), (frame_count, 1))
    _paint(curves, phonemes, duration_s, fps)
    curves[:, 0] *= _level_gate(samples, sample_rate_hz, fps, frame_count)
    sigma = _SMOOTHING_SIGMA_S * fps
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    kernel /= kernel.sum()
    padded = np.pad(curves, ((reach, reach), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(padded[:, channel], kernel, "valid") for channel in range(4)], axis=1)
    return smooth.astype(np.float32)


def mean_over(values: np.ndarray, rate_hz: float, starts_s: np.ndarray, ends_s: np.ndarray) -> np.ndarray:
    """Mean of stepwise-constant rows [T, C] over each interval, [K, C]; the last row holds past the end."""
    row_count = len(values)
    integral = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])

    def integral_to(position: np.ndarray) -> np.ndarray:
        inside = np.clip(position, 0, row_count)
        whole = np.minimum(inside.astype(np.int64), row_count - 1)
        held = values[np.where(position < 0, 0, whole)].astype(np.float64)
        return integral[whole] + (position - whole)[:, None] * held

    width = ((ends_s - starts_s) * rate_hz)[:, None]
    return ((integral_to(ends_s * rate_hz) - integral_to(starts_s * rate_hz)) / width).astype(np.float32)


def curves_at(curves: np.ndarray, fps: float, frame_count: int, curves_fps: float = CURVES_FPS) -> np.ndarray:
    """Mouth shape of every video frame, float32 [frame_count, 4]: the mean over [f / fps, (f + 1) / fps)."""
    edges_s = np.arange(frame_count + 1) / fps
    return mean_over(curves, curves_fps, edges_s[:-1], edges_s[1:])
