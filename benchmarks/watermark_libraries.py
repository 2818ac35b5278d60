"""This project's watermark beside those of two libraries, 32 bits on the same clips of 2 s.

pip install invisible-watermark==0.2.0 blind-watermark==0.4.4 onnxruntime    # into an environment of its own
python -m comfyui_emo.benchmarks.watermark_libraries [--size 512] [--methods own dwtDct ...]

The libraries mark every picture for itself; their bits are a vote over ten frames of the clip. They know
nothing of places: no search finds a mark that was cut or turned. Ours is read from the whole clip.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..steps.marking.watermark import Watermark
from .report import machine
from .watermark import ATTACKS, PAYLOAD_BITS, decoded, encoded, read, stored
from .watermark_clips import FPS, clips

FRAMES, VOTES = 50, 10
PAYLOAD = 0x9E3779B1
METHODS = ("own", "dwtDct", "dwtDctSvd", "rivaGan", "blind-watermark")
KINDS = ("still portrait", "leaves, still", "leaves, camera moves")
CHANGES = (
    "CRF 23",
    "CRF 28",
    "half the size and back, CRF 23",
    "10% cut off, old size, CRF 23",
    "brightness +10%, CRF 23",
)

Mark = Callable[[np.ndarray], np.ndarray]
Read = Callable[[np.ndarray], np.ndarray]


def bits() -> np.ndarray:
    """The payload's bits [32], the highest first."""
    return np.array([PAYLOAD >> place & 1 for place in reversed(range(PAYLOAD_BITS))])


def library(method: str) -> tuple[Mark, Read]:
    """How a library marks a picture [H, W, 3] of bytes, and reads its 32 bits."""
    if method == "blind-watermark":
        from blind_watermark import WaterMark  # type: ignore[import-not-found]

        def mark(picture: np.ndarray) -> np.ndarray:
            pen: Any = WaterMark(password_wm=1, password_img=1)
            pen.read_img(img=picture)
            pen.read_wm(bits().astype(bool), mode="bit")
            return pen.embed().clip(0, 255).round().astype(np.uint8)

        def read_bits(picture: np.ndarray) -> np.ndarray:
            reader: Any = WaterMark(password_wm=1, password_img=1)
            return np.asarray(reader.extract(embed_img=picture, wm_shape=PAYLOAD_BITS, mode="bit"))

        return mark, read_bits
    from imwatermark import WatermarkDecoder, WatermarkEncoder  # type: ignore[import-not-found]

    encoder, decoder = WatermarkEncoder(), WatermarkDecoder("bits", PAYLOAD_BITS)
    if method == "rivaGan":
        WatermarkEncoder.loadModel()
        WatermarkDecoder.loadModel()
    encoder.set_watermark("bits", bits().tolist())
    return (
        lambda picture: encoder.encode(picture, method),
        lambda picture: np.asarray(decoder.decode(picture, method)).astype(float),
    )


def in_bytes(frames: Tensor) -> np.ndarray:
    """Frames [N, 3, H, W] in 0..1 -> [N, H, W, 3] bytes, blue first, as these libraries take them."""
    return (stored(frames) * 255).byte().permute(0, 2, 3, 1).numpy()[..., ::-1].copy()


def of_bytes(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255


def mark_clip(method: str, plain: Tensor) -> tuple[Tensor, Callable[[Tensor], float]]:
    """The marked clip, and what tells the share of right bits in a changed one; nothing found counts half."""
    if method == "own":

        def right(frames: Tensor) -> float:
            found = read(frames)
            return 0.5 if found is None else 1 - (found ^ PAYLOAD).bit_count() / PAYLOAD_BITS

        return Watermark(PAYLOAD).mark(plain), right
    mark, read_bits = library(method)

    def voted(frames: Tensor) -> float:
        pictures = in_bytes(frames)[:: len(frames) // VOTES]
        votes = np.mean([read_bits(picture) for picture in pictures], axis=0)
        return float(((votes > 0.5) == bits()).mean())

    return of_bytes(np.stack([mark(picture) for picture in in_bytes(plain)])), voted


def measure(method: str, plain: Tensor) -> dict[str, float]:
    """All figures of one way to mark on one clip."""
    started = time.process_time()
    marked, right = mark_clip(method, plain)
    cost_s = time.process_time() - started
    video, plain_video = encoded(marked, crf="18"), encoded(plain, crf="18")
    frames = decoded(video)
    error = (stored(marked) - stored(plain)).square().mean()
    return {
        "PSNR of the mark (dB)": float(-10 * torch.log10(error)),
        "pictures grow (%)": 100 * (len(video) / len(plain_video) - 1),
        "CPU seconds per second of video": cost_s * FPS / len(plain),
        **{f"bits right after: {name} (%)": 100 * right(ATTACKS[name](frames)) for name in CHANGES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="of the clips, in pixels, 257 or more")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    arguments = parser.parse_args()
    table: dict[str, dict[str, dict[str, float]]] = {}
    for kind, make in clips(arguments.size, 1):
        if kind in KINDS:
            plain = make()[:FRAMES]
            for method in arguments.methods:
                figures = measure(method, plain)
                rounded = {name: round(value, 1) for name, value in figures.items()}
                table.setdefault(method, {})[kind] = rounded
                sys.stderr.write(f"{method}, {kind}: {rounded}\n")
    json.dump({"size_px": arguments.size, "figures": table, "measured_on": machine()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
