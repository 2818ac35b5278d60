"""`comfyui-emo convert`: a family's published files -> one safetensors file."""

import argparse
import sys

import torch
from tqdm import tqdm

from ..errors import InputError
from ..models.checkpoints.convert import convert
from ..models.checkpoints.families import find_assembly, open_all
from ..models.checkpoints.tables import FAMILIES, family_named
from .checks import check_output_folder


def run(arguments: argparse.Namespace) -> str:
    """Write the file; gives the line that says where it lies.

    Raises:
        EmoError: the files are no whole family, or the output cannot be written.
    """
    if arguments.out.suffix.lower() != ".safetensors":
        raise InputError(
            got=f"--out {arguments.out}", allowed="a name ending in .safetensors", do="change its ending"
        )
    check_output_folder(arguments.out)
    families = FAMILIES if arguments.family is None else (family_named(arguments.family),)
    assembly = find_assembly(open_all(arguments.files), families)
    dtype = None if arguments.dtype is None else getattr(torch, arguments.dtype)
    with tqdm(total=len(assembly.tensors), file=sys.stderr, desc=assembly.family.title) as bar:
        convert(assembly, arguments.out, dtype, lambda *_: bar.update(1))
    family = assembly.family
    return (
        f"{arguments.out.absolute()}: {family.title}, {arguments.out.stat().st_size / 1e9:.2f} GB; "
        f"licence of the weights: {family.licence}"
    )
