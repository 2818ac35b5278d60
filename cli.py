"""The command line: the steps from files to files. What is heavy is imported when a command runs."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from .commands.options import COMMANDS
from .errors import DependencyError, EmoError, InputError

EXIT_DONE, EXIT_BAD_INPUT, EXIT_STOPPED = 0, 2, 130

_EXIT_CODES = f"""exit codes:
  {EXIT_DONE:<4} done
  1    a fault in this program, shown with its traceback: please report it
  {EXIT_BAD_INPUT:<4} something given cannot be used: the message says what was got, what is allowed, and
       what to do
  {EXIT_STOPPED:<4} stopped by Ctrl-C

Except after {EXIT_DONE}, no half-made file is left behind, and a file that was there before is untouched.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in this project's form of error."""

    def error(self, message: str):
        raise InputError(
            got=f"a command line that does not fit: {message}",
            allowed=f"the options that `{self.prog} --help` explains",
            do="correct the command line and run it again",
        )


class ShowVersion(argparse.Action):
    """Prints the version of the installed package, looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"comfyui-emo {version('comfyui-emo')}")
        except PackageNotFoundError:
            print("comfyui-emo, not installed by pip but run from its folder")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = Parser(
        prog="comfyui-emo",
        description="A portrait and a voice in, a talking video out (EMO, arXiv 2402.17485).",
        epilog="`comfyui-emo COMMAND --help` explains a command and all its options.\n\n" + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            epilog="\n".join(filter(None, (command.examples, _EXIT_CODES))),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_options(subparser)
        subparser.set_defaults(module=command.module)
    return parser


class _NotesHandler(logging.Handler):
    """Writes the library's notes to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        kind = "Warning" if record.levelno >= logging.WARNING else "Note"
        tqdm.write(f"{kind}: {self.format(record)}", file=sys.stderr)


@contextmanager
def _notes_on_stderr() -> Iterator[None]:
    """Show what the library says of this run: what it found, and what it changed for the user."""
    library = logging.getLogger(__package__)
    handler, level = _NotesHandler(), library.level
    library.addHandler(handler)
    library.setLevel(logging.INFO)
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.setLevel(level)


def _say(error: EmoError) -> None:
    for name, text in (("Got", error.got), ("Allowed", error.allowed), ("Do", error.do)):
        print(f"{name + ':':<9}{text}.", file=sys.stderr)


@contextmanager
def _termination_as_ctrl_c() -> Iterator[None]:
    """A request to end (SIGTERM) cleans up as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, `sys.argv` if none is given, and give its exit code; --help raises SystemExit."""
    # Read when torch is loaded. Threads that spin while they wait for each other lose a core that another
    # program uses: with one core of two busy, sampling took fifty times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        arguments = make_parser().parse_args(argv)
        with _notes_on_stderr(), _termination_as_ctrl_c():
            print(import_module(arguments.module, __package__).run(arguments), flush=True)
    except EmoError as error:
        _say(error)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        # The reader of stdout, such as `head`, has enough; Python shall not complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("Stopped. No half-made file is left behind.", file=sys.stderr)
        return EXIT_STOPPED
    except ModuleNotFoundError as missing:
        if missing.name != "torch":
            raise
        _say(DependencyError(got="no torch", allowed="torch 2.4 or newer", do="run `pip install torch`"))
        return EXIT_BAD_INPUT
    return EXIT_DONE
