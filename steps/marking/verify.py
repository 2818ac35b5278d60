"""What an mp4 or png file says of its own origin: credentials, watermark, plain metadata."""

import json
import logging
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.container import InputContainer
from PIL import Image

from ...errors import InputError
from .credentials import Credentials, read_credentials
from .records import find_record
from .watermark_reading import FALSE_ALARM_BOUND, FIELDS, WatermarkReader, WatermarkReading

log = logging.getLogger(__name__)

_FIELD_FRAMES = 250  # of each place that is looked at
_LARGEST_SIDE_PX = 8192
VERDICTS = ("marked", "tampered", "unmarked", "unreadable")


@dataclass(frozen=True)
class Verification:
    """What is known of a file.

    Attributes:
        path: the file.
        verdict: "marked" if credentials that hold or a watermark say that it is synthetic; "tampered" if it
            was changed after signing; "unmarked" if nothing is found, which proves nothing; "unreadable".
        credentials: what its Content Credentials say.
        watermark: the mark in its pixels; None if none was found.
        record: what this machine remembers under the watermark's payload; None if nothing.
        notices: plain metadata that says that the file is synthetic.
        pictures: "read", or why they could not be.
    """

    path: Path
    verdict: str
    credentials: Credentials
    watermark: WatermarkReading | None
    record: dict[str, Any] | None
    notices: dict[str, str]
    pictures: str

    def as_json(self) -> dict[str, Any]:
        """Plain values, for programs."""
        values = asdict(self)
        values["path"] = str(self.path)
        if self.watermark is not None:
            values["watermark"]["payload"] = f"{self.watermark.payload:08x}"
            values["watermark"]["false_alarm_bound"] = FALSE_ALARM_BOUND
        return values


def verify_file(path: Path, authorities: Path | None = None, records: Path | None = None) -> Verification:
    """Look for every mark that this project knows in a file; what is in it never raises.

    Args:
        path: the file, of any kind.
        authorities: PEM file with the certificates of the authorities to trust.
        records: folder of records to look the watermark up in; None: this machine's.

    Raises:
        InputError: there is no such file, or the authorities cannot be read.
    """
    if not path.is_file():
        raise InputError(got=f"{path}, which is no file", allowed="an mp4 or png file", do="check the path")
    credentials = read_credentials(path, _authorities_pem(authorities))
    watermark, notices, pictures = _look_into(path)
    record = None if watermark is None else find_record(watermark.payload, records)
    verdict = _verdict(credentials, watermark, pictures)
    return Verification(path, verdict, credentials, watermark, record, notices, pictures)


def _authorities_pem(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        text = path.read_text("ascii")
    except (OSError, ValueError) as error:
        raise InputError(
            got=f"authorities {path}: {error}", allowed="a PEM file of certificates", do="check the path"
        ) from error
    if "BEGIN CERTIFICATE" not in text:
        raise InputError(
            got=f"authorities {path} without a certificate",
            allowed="a PEM file of certificates",
            do="get the list of the C2PA, or the certificate of whom you trust",
        )
    return text


def _verdict(credentials: Credentials, watermark: WatermarkReading | None, pictures: str) -> str:
    if credentials.state in ("tampered", "invalid"):
        return "tampered"
    if watermark is not None or (credentials.state in ("valid", "trusted") and credentials.synthetic):
        return "marked"
    return "unmarked" if pictures == "read" else "unreadable"


def _look_into(path: Path) -> tuple[WatermarkReading | None, dict[str, str], str]:
    """The watermark, the notices, and whether the pictures could be read."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return None, {}, "there are none"
            notices = _notices({**container.metadata, **_png_texts(path)})
            for start in _starts(container):
                reader = WatermarkReader()
                if not _add_frames(container, start, reader):
                    return None, notices, "none can be decoded"
                reading = reader.read()
                if reading is not None:
                    return reading, notices, "read"
            return None, notices, "read"
    except (av.FFmpegError, OSError, ValueError) as error:
        return None, {}, f"cannot be read: {error}"


def _notices(metadata: dict[str, str]) -> dict[str, str]:
    found = {key: value for key, value in metadata.items() if key == "comment" and "ynthetic" in value}
    return found | {
        key: value for key, value in metadata.items() if key.upper() == "AIGC" and _is_aigc(value)
    }


def _png_texts(path: Path) -> dict[str, str]:
    """The texts of a png file, which the container does not tell; none of any other kind of file."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return dict(picture.text)  # type: ignore[attr-defined]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {}


def _is_aigc(value: str) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


def _starts(container: InputContainer) -> list[int]:
    """Where to look, in microseconds: at the start, and in long videos in the middle and near the end."""
    stream = container.streams.video[0]
    rate = stream.average_rate or Fraction(25)
    span = int(_FIELD_FRAMES / rate * av.time_base)
    duration = container.duration or 0
    if duration <= 2 * span:
        return [0]
    return [(duration - span) * part // (FIELDS - 1) for part in range(FIELDS)]


def _add_frames(container: InputContainer, start: int, reader: WatermarkReader) -> int:
    """Give a stretch of frames to the reader; how many there were."""
    if start:
        container.seek(start)
    count = 0
    size: tuple[int, ...] | None = None
    batch: list[torch.Tensor] = []
    frames = container.decode(container.streams.video[0])
    while count < _FIELD_FRAMES:
        try:
            frame = next(frames, None)
        except av.FFmpegError as error:  # cut or damaged: what was read before still counts
            log.info("the video cannot be read to its end: %s", error)
            break
        if frame is None or max(frame.width, frame.height) > _LARGEST_SIDE_PX:
            break
        luma = frame.to_ndarray(format="gray")
        size = size or luma.shape
        if luma.shape != size:
            break
        batch.append(torch.from_numpy(luma.astype(np.float32)))
        count += 1
        if len(batch) == 12:
            reader.add(torch.stack(batch))
            batch = []
    if batch:
        reader.add(torch.stack(batch))
    return count
