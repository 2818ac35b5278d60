"""The commands of the command line. Imports nothing heavy."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from .file_options import add_convert_options, add_inspect_options
from .marking_options import (
    MARK_DESCRIPTION,
    VERIFY_DESCRIPTION,
    VERIFY_EXAMPLES,
    add_mark_options,
    add_verify_options,
)
from .options import add_evaluate_options, add_talk_options


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        name: what the user types.
        summary: one line for the list of commands.
        description: what it does.
        examples: shown under its options; may be empty.
        module: relative name of the module whose `run(arguments)` does it and gives the text for stdout.
        add_options: declares its options on a parser.
    """

    name: str
    summary: str
    description: str
    examples: str
    module: str
    add_options: Callable[[argparse.ArgumentParser], None]


COMMANDS = (
    Command(
        "talk",
        "animate a portrait with a voice and write an mp4",
        "Animates a portrait so that it speaks or sings a voice, and writes an mp4 (H.264 and\n"
        "AAC) with that voice. Notes and the progress go to stderr, where the video lies to stdout.",
        "examples:\n"
        "  comfyui-emo talk --image portrait.png --audio voice.wav --out talking.mp4\n"
        "  comfyui-emo talk --image photo.jpg --face 120,80,200,220 --audio song.mp3 --start 12 \\\n"
        "      --duration 8 --style active --seed 7 --out song.mp4\n",
        ".commands.talk",
        add_talk_options,
    ),
    Command(
        "evaluate",
        "measure a model on avatars and voices that training never saw",
        "Lets drawn avatars speak with voices that training never met, reads mouth, head and face\n"
        "out of the videos with a detector, and prints how near they come to the truth. Beside it\n"
        "stands the ceiling: the same detector on the true pictures, as they are and through the\n"
        "model's autoencoder.",
        "examples:\n"
        "  comfyui-emo evaluate --out figures.json --sheet sheet.png\n"
        "  comfyui-emo evaluate --model my-model.safetensors --clips 4 --seeds 0\n",
        ".commands.evaluate",
        add_evaluate_options,
    ),
    Command(
        "inspect",
        "show what is in a model's file",
        "Shows a model's configuration, its parameters by network, and how it was trained; of published\n"
        "files, and of what `convert` made of them, the family, its licence and what comes with it.",
        "example:\n  comfyui-emo inspect models/emo/hallo2/net.pth\n",
        ".commands.inspect",
        add_inspect_options,
    ),
    Command(
        "mark",
        "mark a picture that a model made as synthetic",
        MARK_DESCRIPTION,
        "example:\n  comfyui-emo mark frame.png --out marked.png --consent 'They agreed.'\n",
        ".commands.mark",
        add_mark_options,
    ),
    Command(
        "verify",
        "tell whether a file is marked as synthetic, by whom, and whether that holds",
        VERIFY_DESCRIPTION,
        VERIFY_EXAMPLES,
        ".commands.verify",
        add_verify_options,
    ),
    Command(
        "convert",
        "make one safetensors file of a published model's files",
        "Reads the files that Hallo, EchoMimic, V-Express or Moore-AnimateAnyone publish, accounts for\n"
        "every tensor, and writes one safetensors file, tensor by tensor. Nothing in a file is executed.",
        "example:\n  comfyui-emo convert models/emo/hallo2/net.pth --out models/emo/hallo2.safetensors\n",
        ".commands.convert",
        add_convert_options,
    ),
)
