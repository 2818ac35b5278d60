"""What the watermark survives and what it costs, on still and moving clips of 4 s.

python -m comfyui_emo.benchmarks.watermark [--size 128] [--clips 4] [--false-alarms 1000] [--stills 8]
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..steps.marking.pattern import luma_of
from ..steps.marking.watermark import Watermark
from ..steps.marking.watermark_reading import WatermarkReader
from ..steps.timeline import Timeline
from ..steps.video_file import VideoWriter
from ..steps.voice import Voice
from .report import machine
from .watermark_clips import FPS, FRAMES, clips

PAYLOAD_BITS = 32


def encoded(frames: Tensor, codec: str = "libx264", **options: str) -> bytes:
    """Frames as an mp4 without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.height, stream.width = frames.shape[-2:]  # type: ignore[attr-defined]
        stream.pix_fmt = "yuv420p"  # type: ignore[attr-defined]
        for pixels in (frames.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy():
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(picture))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return file.getvalue()


def decoded(data: bytes) -> Tensor:
    """Frames [N, 3, H, W] of an mp4."""
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255


def resized(frames: Tensor, factor: float) -> Tensor:
    size = [round(side * factor / 2) * 2 for side in frames.shape[-2:]]
    return F.interpolate(frames, size=size, mode="bicubic", antialias=True).clamp(0, 1)


def warped(frames: Tensor, degrees: float = 0.0, zoom: float = 1.0) -> Tensor:
    angle = np.deg2rad(degrees)
    matrix = (
        torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]).float() / zoom
    )
    grid = F.affine_grid(matrix.expand(len(frames), -1, -1), list(frames.shape), align_corners=False)
    return F.grid_sample(frames, grid, mode="bicubic", align_corners=False, padding_mode="border").clamp(0, 1)


def cropped(frames: Tensor, share: float = 0.1) -> Tensor:
    """Without a share of the width and the height, mostly at the left and the top."""
    kept = [round(side * (1 - share) / 2) * 2 for side in frames.shape[-2:]]
    top, left = ((side - keep) * 3 // 4 for side, keep in zip(frames.shape[-2:], kept, strict=True))
    return frames[..., top : top + kept[0], left : left + kept[1]]


def again(frames: Tensor, crf: int = 23) -> Tensor:
    return decoded(encoded(frames, crf=str(crf)))


# What is done to the frames of the file that this project writes (CRF 18), and how they are stored again.
ATTACKS: dict[str, Callable[[Tensor], Tensor]] = {
    "the file itself": lambda frames: frames,
    "CRF 23": lambda frames: again(frames, 23),
    "CRF 28": lambda frames: again(frames, 28),
    "half the size and back, CRF 23": lambda frames: again(resized(resized(frames, 0.5), 2.0)),
    "stored at half the size, CRF 23": lambda frames: again(resized(frames, 0.5)),
    "10% cut off, CRF 23": lambda frames: again(cropped(frames)),
    "10% cut off, old size, CRF 23": lambda frames: again(warped(frames, zoom=1 / 0.9)),
    "brightness +10%, CRF 23": lambda frames: again((frames * 1.1).clamp(0, 1)),
    "brightness -10%, CRF 23": lambda frames: again(frames * 0.9),
    "MPEG-4 part 2, q 5": lambda frames: decoded(encoded(frames, "mpeg4", qscale="5", flags="+qscale")),
    "HEVC, CRF 28": lambda frames: decoded(
        encoded(frames, "libx265", crf="28", **{"x265-params": "log-level=1"})
    ),
    "AV1, CRF 35": lambda frames: decoded(encoded(frames, "libsvtav1", crf="35", preset="8")),
    "VP9, CRF 33": lambda frames: decoded(
        encoded(frames, "libvpx-vp9", crf="33", b="0", deadline="realtime")
    ),
    "mirrored, CRF 23": lambda frames: again(frames.flip(-1)),
    "turned by 2 degrees, CRF 23": lambda frames: again(warped(frames, 2.0)),
    "mirrored, turned, zoomed, CRF 23": lambda frames: again(warped(frames, -1.5, 1.05).flip(-1)),
}


def read(frames: Tensor) -> int | None:
    reader = WatermarkReader()
    reader.add(luma_of(frames))
    reading = reader.read()
    return None if reading is None else reading.payload


def bits_right(found: int | None, payload: int) -> float:
    """Share of payload bits read rightly; nothing found counts as guessing."""
    return 0.5 if found is None else 1 - (found ^ payload).bit_count() / PAYLOAD_BITS


def file_bytes(frames: Tensor) -> int:
    """Size of the file that this project writes of the frames and a voice."""
    rate_hz = 16000
    samples = torch.randn(FRAMES * rate_hz // FPS, generator=torch.Generator().manual_seed(0)) * 0.05
    voice = Voice(samples, rate_hz, "noise")
    timeline = Timeline(len(samples), rate_hz, FPS, 12)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with VideoWriter(path, timeline, voice, frames.shape[-1], frames.shape[-2]) as writer:
            writer.write(frames)
        return path.stat().st_size


def stored(frames: Tensor) -> Tensor:
    return (frames.clamp(0, 1) * 255).round() / 255


def measure_clip(plain: Tensor, payload: int) -> dict[str, float]:
    """All figures of one clip."""
    started = time.process_time()
    marked = Watermark(payload).mark(plain)
    cost_s = time.process_time() - started
    error = (stored(marked) - stored(plain)).square().mean()
    plain_file, marked_file = file_bytes(plain), file_bytes(marked)
    video, plain_video = encoded(marked, crf="18"), encoded(plain, crf="18")
    frames = decoded(video)
    figures = {
        "PSNR of the mark (dB)": float(-10 * torch.log10(error)),
        "file grows (%)": 100 * (marked_file / plain_file - 1),
        "pictures alone grow (%)": 100 * (len(video) / len(plain_video) - 1),
        "CPU seconds per second of video": cost_s / (len(plain) / FPS),
    }
    for name, attack in ATTACKS.items():
        found = bits_right(read(attack(frames)), payload)
        figures[f"bits right after: {name} (%)"] = 100 * found
    return figures


def false_alarms(count: int) -> dict[str, int]:
    """Readings from clips without a mark: avatars that nobody drew before, still and a little noisy."""
    from ..training.avatars.identity import draw_identities
    from ..training.avatars.renderer import render
    from ..training.avatars.state import neutral_states

    generator = torch.Generator().manual_seed(1)
    alarms = 0
    for _ in range(count):
        picture = render(draw_identities(1, generator), neutral_states(1, generator), 128)
        noise = 0.01 * torch.randn(12, *picture.shape[1:], generator=generator)
        alarms += read((picture + noise).clamp(0, 1)) is not None
    return {"unmarked clips": count, "false alarms": alarms}


def as_jpeg(frames: Tensor, quality: int) -> Tensor:
    """The first of the frames after a way through a JPEG file."""
    file = io.BytesIO()
    pixels = (frames[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255


# What is done to a single picture.
STILL_ATTACKS: dict[str, Callable[[Tensor], Tensor]] = {
    "the file itself": lambda frames: frames,
    "JPEG 90": lambda frames: as_jpeg(frames, 90),
    "JPEG 75": lambda frames: as_jpeg(frames, 75),
    "stored at half the size, JPEG 90": lambda frames: as_jpeg(resized(frames, 0.5), 90),
    "half the size and back, JPEG 90": lambda frames: as_jpeg(resized(resized(frames, 0.5), 2.0), 90),
    "10% cut off, JPEG 90": lambda frames: as_jpeg(cropped(frames), 90),
    "brightness +10%, JPEG 90": lambda frames: as_jpeg((frames * 1.1).clamp(0, 1), 90),
}


def stills(size_px: int, count: int) -> dict[str, float]:
    """Share of pictures whose number is read, in percent: first frames of portraits and of leaves."""
    read_rightly: dict[str, list[bool]] = defaultdict(list)
    for index, (kind, make) in enumerate(clips(size_px, count)):
        if kind in ("still portrait", "leaves, still"):
            marked = stored(Watermark(index).mark(make()[:1]))
            for name, attack in STILL_ATTACKS.items():
                read_rightly[name].append(read(attack(marked)) == index)
    return {name: 100 * float(np.mean(right)) for name, right in read_rightly.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="of the clips, in pixels")
    parser.add_argument("--clips", type=int, default=4, help="of each kind")
    parser.add_argument("--false-alarms", type=int, default=0, help="count these on so many unmarked clips")
    parser.add_argument("--stills", type=int, default=0, help="also so many single pictures of two kinds")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for index, (kind, make) in enumerate(clips(arguments.size, arguments.clips)):
        for name, value in measure_clip(make(), (0x9E3779B1 * (index + 1)) % 2**32).items():
            figures[name][kind].append(value)
        sys.stderr.write(f"{kind} {index} done\n")
    table = {
        name: {kind: round(float(np.mean(values)), 3) for kind, values in kinds.items()}
        for name, kinds in figures.items()
    }
    report: dict[str, object] = {
        "size_px": arguments.size,
        "clips_of_each_kind": arguments.clips,
        "figures": table,
    }
    if arguments.false_alarms:
        report["false_alarms"] = false_alarms(arguments.false_alarms)
    if arguments.stills:
        report["pictures read (%)"] = stills(arguments.size, arguments.stills)
    json.dump({**report, "measured_on": machine()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
