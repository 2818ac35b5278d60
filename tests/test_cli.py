"""The command line as a whole: help without delay, exit codes, the form of its errors."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comfyui_emo import cli
from comfyui_emo.commands.options import SCHEDULERS, STYLES
from comfyui_emo.commands.table import COMMANDS
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.steps.head_motion import MAX_SPEED
from comfyui_emo.steps.head_motion import STYLES as STEP_STYLES
from comfyui_emo.steps.sampling_settings import MAX_STEPS
from comfyui_emo.steps.schedulers import SCHEDULER_NAMES
from comfyui_emo.steps.timeline import MAX_FPS, MIN_FPS

HEAVY = ("torch", "numpy", "diffusers", "transformers", "kornia", "av", "PIL", "safetensors", "tqdm")

HELP_OF_ALL = f"""
import contextlib, sys
from comfyui_emo.cli import main
for command in ([], ["talk"], ["evaluate"], ["inspect"]):
    with contextlib.suppress(SystemExit):
        main([*command, "--help"])
print("loaded:", [name for name in {HEAVY!r} if name in sys.modules])
"""


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def help_of(capsys, *command: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command, "--help"])
    assert stopped.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_loads_nothing_heavy(tmp_path):
    result = run_python("-c", HELP_OF_ALL, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("loaded: []\n")
    assert result.stdout.count("exit codes:") == 4


def test_runs_as_a_module_with_its_exit_code(tmp_path):
    result = run_python("-m", "comfyui_emo", "talk", "--image", "a.png", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Got:     a command line that does not fit: the following arguments are")


def test_every_option_is_explained():
    for command in COMMANDS:
        parser = cli.Parser()
        command.add_options(parser)
        unexplained = [action.dest for action in parser._actions if not action.help]
        assert unexplained == [], command.name


def test_help_says_what_the_code_does(capsys):
    text = help_of(capsys, "talk")
    defaults = avatar_config().defaults
    for wanted in (
        f"{defaults.width_px}x{defaults.height_px} for the bundled one",
        f"the model's, {defaults.steps} for the bundled one",
        f"the model's, {defaults.voice_guidance:g} for the bundled one",
        f"the model's, {defaults.scheduler} for the bundled one",
        f"the model's, {defaults.fps:g} for the bundled one",
        f"the model's, {defaults.pose_noise_scale:g} for the bundled one",
        f"for the bundled one {defaults.calm:g}, {defaults.normal:g} and {defaults.active:g}",
        f"0 to {MAX_SPEED:g}:",
        f"1 to {MAX_STEPS};",
        f"{MIN_FPS} to {MAX_FPS}, such as",
    ):
        assert wanted in text
    assert (STYLES, SCHEDULERS) == (STEP_STYLES, SCHEDULER_NAMES)


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("comfyui-emo")


def raising(error):
    class Module:
        @staticmethod
        def run(arguments):
            raise error

    return lambda name, package: Module


@pytest.mark.parametrize(("given", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_without_spinning_unless_told_otherwise(monkeypatch, given, used):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    seen = []

    class Module:
        @staticmethod
        def run(arguments):
            seen.append(os.environ["OMP_WAIT_POLICY"])

    monkeypatch.setattr(cli, "import_module", lambda name, package: Module)
    assert cli.main(["inspect"]) == 0
    assert seen == [used]


def test_without_torch_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(cli, "import_module", raising(ModuleNotFoundError("No module", name="torch")))
    assert cli.main(["inspect"]) == 2
    assert capsys.readouterr().err.endswith("Do:      run `pip install torch`.\n")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "import_module", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["inspect"])


def test_a_request_to_end_stops_as_ctrl_c_does(monkeypatch, capsys):
    class Module:
        @staticmethod
        def run(arguments):
            os.kill(os.getpid(), signal.SIGTERM)
            return "went on"

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "import_module", lambda name, package: Module)
    assert cli.main(["inspect"]) == 130
    assert "went on" not in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c(monkeypatch, capsys):
    monkeypatch.setattr(cli, "import_module", raising(KeyboardInterrupt()))
    assert cli.main(["inspect"]) == 130
    assert "Traceback" not in capsys.readouterr().err
