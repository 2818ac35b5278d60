"""The options of the commands about model files, `inspect` and `convert`. Imports nothing heavy."""

import argparse
from pathlib import Path


def add_inspect_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="a file of this project, or a file or folder that Hallo, EchoMimic, V-Express or "
        "Moore-AnimateAnyone publish (default: the bundled model)",
    )
    parser.add_argument("--family", metavar="NAME", help="which model, where a folder holds several")
    parser.add_argument("--json", action="store_true", help="the same as JSON, for programs")


def add_convert_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="PATH", help="the published files, or a folder that holds them"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the file to write, ending in .safetensors"
    )
    parser.add_argument("--family", metavar="NAME", help="which model, where the files are those of several")
    parser.add_argument(
        "--dtype",
        choices=("float16", "bfloat16", "float32"),
        help="precision of the tensors (default: as published)",
    )
