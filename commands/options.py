"""The commands' options, with every explanation that `--help` shows. Imports nothing heavy."""

import argparse
import math
from pathlib import Path

from .marking_options import add_marking_options

STYLES = ("calm", "normal", "active")
SCHEDULERS = ("ddim", "dpm++", "unipc", "euler")
EVALUATION_PARTS = ("figures", "mechanisms", "drift")


def number(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model and machine")
    group.add_argument(
        "--model",
        type=Path,
        metavar="PATH",
        help="the model: a safetensors file of this project, or a folder with the files that Hallo, "
        "EchoMimic or V-Express publish, their autoencoder and voice encoder among them (default: the "
        "bundled one, for drawn avatars)",
    )
    group.add_argument(
        "--family",
        metavar="NAME",
        help="which model of published files is meant, where a folder holds more than one: hallo, echomimic, "
        "echomimic-acc, echomimic-pose, echomimic-pose-acc, v-express",
    )
    group.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="what the denoising networks compute in (default: auto, which is float32 on a CPU, where it is "
        "fastest, and elsewhere what the weights are stored in)",
    )
    group.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="what computes: cpu, cuda, cuda:1, xpu, mps, or auto for an accelerator if torch sees one "
        "(default: auto)",
    )


def add_talk_options(parser: argparse.ArgumentParser) -> None:
    _add_talk_files(parser)
    _add_face_options(parser)
    _add_guide_options(parser)
    _add_motion_options(parser)
    _add_video_options(_add_sampling_options(parser))
    _add_resume_options(parser)
    add_marking_options(parser)
    _add_machine_options(parser)


def _add_talk_files(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files")
    group.add_argument(
        "--image",
        type=Path,
        required=True,
        metavar="FILE",
        help="the portrait: PNG, JPEG, WebP, TIFF, ..., of any size. It is cropped around the face and "
        "scaled to the model's size (128x128 for the bundled one); transparent parts become white",
    )
    group.add_argument(
        "--audio",
        type=Path,
        required=True,
        metavar="FILE",
        help="the voice: wav, mp3, flac, m4a, ogg, opus, or a video with sound, of any rate and number of "
        "channels. The video becomes as long as the voice",
    )
    group.add_argument(
        "--start", type=number, default=0, metavar="S", help="use the voice from this second on (default: 0)"
    )
    group.add_argument(
        "--duration", type=number, metavar="S", help="use so many seconds of the voice (default: all)"
    )
    group.add_argument(
        "--normalise-volume",
        action="store_true",
        help="bring the speech to -20 dB below full scale first, in the video's sound too",
    )
    group.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the video to make, ending in .mp4, in a folder that exists. A file of that name is replaced "
        "once the new one is whole",
    )


def _add_face_options(parser: argparse.ArgumentParser) -> None:
    face = parser.add_argument_group(
        "the face",
        "Without --face, --mask and --face-index, the region that the picture carries is used\n"
        "(the PNG text chunk face_region, which the bundled portraits have), else the largest\n"
        "face that a detector finds.",
    )
    group = face.add_mutually_exclusive_group()
    group.add_argument(
        "--face",
        metavar="X,Y,W,H",
        help="the box around the face, forehead to chin, in pixels of the picture: its left and top edge, "
        "its width and height, such as 120,80,200,220",
    )
    group.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="a picture of the portrait's size that is white where the face is and black elsewhere",
    )
    group.add_argument(
        "--face-index",
        type=int,
        metavar="N",
        help="which of several detected faces, counted from 0 from left to right",
    )
    face.add_argument(
        "--face-embedding",
        type=Path,
        metavar="FILE",
        help="for Hallo only: a .npy or .safetensors file with the 512 numbers that the extra library "
        "insightface (buffalo_l) gives of the portrait's face (default: none, which is Hallo's own way for "
        "a face that it does not know)",
    )


def _add_guide_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--key-points",
        metavar="POINTS",
        help="for V-Express: where both eyes (the picture's left one first) and the nose are, in pixels of "
        "the picture, X,Y,X,Y,X,Y; or a .npy, .safetensors or .pth file of them, [3, 2] or [frames, 3, 2] "
        "for every frame (default: where an upright face in the box has them)",
    )
    group.add_argument(
        "--drawings",
        type=Path,
        metavar="PATH",
        help="for EchoMimic with poses: a folder of pictures, or a video, of the face's landmarks drawn on "
        "black, one for every frame, of the portrait's size. V-Express takes its key points so, too",
    )


def _add_motion_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the head's motion")
    how = group.add_mutually_exclusive_group()
    how.add_argument(
        "--style",
        choices=STYLES,
        default="normal",
        help="how lively the head moves: calm, normal or active (default: normal); each model says which "
        "speed that is, for the bundled one 0.2, 0.5 and 0.7",
    )
    how.add_argument(
        "--speed",
        type=number,
        metavar="X",
        help="the head's speed instead, in degrees of rotation per frame, 0 to 4: speech 0.1 to 1, singing 1 "
        "to 1.3",
    )
    group.add_argument(
        "--movement-margin",
        type=number,
        metavar="M",
        help="room around the face that it may move into, as a share of the face's size: 0 keeps it in "
        "place, 0.2 lets it swing (default: what suits the speed)",
    )


def _add_sampling_options(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="denoising steps of a clip, 1 to 1000; the time a video takes grows with them (default: "
        "the model's, 8 for the bundled one)",
    )
    group.add_argument(
        "--guidance",
        type=number,
        metavar="G",
        help="how strongly the mouth follows the voice, 1 to 20: 1 is off and saves the second pass of "
        "each guided step, too much exaggerates (default: the model's, 1.5 for the bundled one)",
    )
    group.add_argument(
        "--scheduler",
        choices=SCHEDULERS,
        help="the way from noise to picture: ddim is the paper's, the others usually need fewer steps "
        "(default: the model's, ddim for the bundled one)",
    )
    group.add_argument(
        "--pose-noise",
        type=number,
        metavar="S",
        help="from how much noise the head's pose starts, above 0, up to 2: more moves the head more, and "
        "its face is a little less like the portrait (default: the model's, 1.4 for the bundled one, whose "
        "head hardly moves at 0.18)",
    )
    return group


def _add_video_options(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="chooses the noise, and with it all that the voice leaves open, such as turns of the head; the "
        "same seed with the same settings gives the same video on the same machine (default: 0)",
    )
    group.add_argument(
        "--fps",
        metavar="RATE",
        help="frames per second, 1 to 240, such as 25, 29.97 or 30000/1001 (default: the model's, 25 for the "
        "bundled one, which is what it learned to move at)",
    )


def _add_resume_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "going on after a stop",
        "However a run is stopped, the same command goes on after the last clip that was done,\n"
        "and makes the same video. With other settings it starts afresh, and says so.",
    )
    group.add_argument(
        "--work-folder",
        type=Path,
        metavar="FOLDER",
        help="where to keep what is needed to go on: a new or empty folder, which is removed once the video "
        "is there (default: beside the video, its name with .work behind)",
    )
    group.add_argument(
        "--fresh", action="store_true", help="start from the first clip, whatever an earlier run has left"
    )


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is measured, and where to")
    group.add_argument("--out", type=Path, metavar="FILE", help="write all figures to this JSON file")
    group.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write pictures of the first seed's videos to this PNG"
    )
    group.add_argument(
        "--clips",
        type=int,
        metavar="N",
        help="use only the first N held-out clips, for a quick look (default: all)",
    )
    group.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        metavar="N",
        help="make every clip once with each of these seeds; their spread is reported (default: 0 1 2)",
    )
    group.add_argument(
        "--parts",
        nargs="+",
        choices=EVALUATION_PARTS,
        default=["figures"],
        metavar="PART",
        help="figures: every clip against the truth; mechanisms: 6 clips with one condition changed or left "
        "out at a time; drift: a minute's last seconds against its first (default: figures)",
    )
    group.add_argument(
        "--recording",
        type=Path,
        metavar="FILE",
        help="also let avatars say the first 20 s of this voice: their mouths against its loudness",
    )
    _add_sampling_options(parser)
    _add_machine_options(parser)
