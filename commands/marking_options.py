"""The options that say how a video is marked as synthetic, and those of `verify`. Imports nothing heavy."""

import argparse
from pathlib import Path

EXIT_UNMARKED, EXIT_TAMPERED, EXIT_UNREADABLE = 3, 4, 5

MARK_DESCRIPTION = """\
Writes a png file again with what every video gets: a watermark in the pixels, which is not
seen, and signed Content Credentials (C2PA), which say that it is synthetic. Texts in the
file, such as a ComfyUI workflow, stay. Of its origin nothing is known here: the blocks
EMO Save Image and EMO Combine Video can name the model and the portrait."""

VERIFY_DESCRIPTION = """\
Looks for Content Credentials (C2PA), this project's watermark and plain notices in an mp4
or png file, of anybody."""

VERIFY_EXAMPLES = f"""examples:
  comfyui-emo verify talking.mp4
  comfyui-emo verify --json talking.mp4 || echo not marked

exit codes of this command:
  0    marked: credentials that hold, or a watermark, say that the file is synthetic
  {EXIT_UNMARKED}    unmarked: nothing is found. That proves nothing: marks can be removed
  {EXIT_TAMPERED}    tampered: the file was changed after signing, or its credentials do not hold
  {EXIT_UNREADABLE}    unreadable: no mp4 or png that can be read
"""


def add_marking_options(parser: argparse.ArgumentParser) -> None:
    """Declare how a video is marked."""
    group = parser.add_argument_group(
        "marks",
        "Every video gets a watermark in its pixels, which is not seen, and signed Content\n"
        "Credentials (C2PA), which say that it is synthetic, made by what, and when.",
    )
    group.add_argument(
        "--no-marks",
        action="store_true",
        help="leave all of that out. Laws may ask you for it, such as the EU's AI Act, Article 50",
    )
    _add_common_options(group, "on the first seconds")
    group.add_argument(
        "--label-seconds",
        type=float,
        default=3.0,
        metavar="S",
        help="how long the label is seen, 2 s or more (default: 3)",
    )


def add_mark_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `mark` takes."""
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="a png file that a model made")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the png file to write")
    _add_common_options(parser.add_argument_group("marks"), "on the picture")


def _add_common_options(group: "argparse._ArgumentGroup", label_place: str) -> None:
    group.add_argument(
        "--consent",
        default="",
        metavar="TEXT",
        help="your own statement on the consent of those who are seen and heard; it stands, readable for "
        "all, in the signed credentials",
    )
    group.add_argument(
        "--label",
        nargs="?",
        const="AI-generated",
        metavar="TEXT",
        help=f"write this visibly {label_place} (without a text: AI-generated)",
    )
    group.add_argument(
        "--aigc",
        action="store_true",
        help="put the metadata field AIGC of China's GB 45438-2025 into the file as well",
    )
    group.add_argument(
        "--signing-certificate",
        type=Path,
        metavar="FILE",
        help="sign with this certificate: PEM, your own first, then those that vouch for it (default: that "
        "of COMFYUI_EMO_SIGNING_CERTIFICATE, else one made on this machine, for which nobody vouches)",
    )
    group.add_argument(
        "--signing-key",
        type=Path,
        metavar="FILE",
        help="its private key, PEM (default: that of COMFYUI_EMO_SIGNING_KEY). A pass phrase is read from "
        "COMFYUI_EMO_SIGNING_PASS_PHRASE only",
    )


def add_verify_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `verify` takes."""
    parser.add_argument("file", type=Path, metavar="FILE", help="an mp4 or png file, of anybody")
    parser.add_argument("--json", action="store_true", help="all of it as JSON, for programs")
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="certificates, PEM, of the authorities to trust; without, no signer is called trusted",
    )
    parser.add_argument(
        "--records",
        type=Path,
        metavar="FOLDER",
        help="where to look up a watermark's payload (default: what was made on this machine)",
    )
