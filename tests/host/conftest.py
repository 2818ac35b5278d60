"""A real ComfyUI, started once for all tests of this folder, and what is asked of it over its API.

COMFYUI_PATH names a ComfyUI folder; its Python is COMFYUI_PYTHON, or the venv beside or inside that folder.
Without COMFYUI_PATH these tests are skipped and say so.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from host.page import chromium, comfy_page, opened_page, shots  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[2]
WHY_SKIPPED = "no host: set COMFYUI_PATH to a ComfyUI folder (make test-host COMFYUI_PATH=...)"
_START_LIMIT_S, _RUN_LIMIT_S, _ANSWER_LIMIT_S = 300, 600, 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "COMFYUI_PATH" in os.environ:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=WHY_SKIPPED))


@dataclass(frozen=True)
class Outcome:
    """How a prompt ended: `status` "success" or "error", what the blocks showed, the host's messages."""

    status: str
    outputs: dict[str, Any]
    messages: list[Any]
    prompt: dict[str, Any]

    @property
    def error(self) -> str:
        """Text of the exception that stopped the run."""
        return next(body["exception_message"] for name, body in self.messages if name == "execution_error")

    @property
    def failed_node(self) -> str:
        """The block that stopped the run."""
        return next(body["node_id"] for name, body in self.messages if name == "execution_error")

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the run."""
        return any(name == "execution_interrupted" for name, _ in self.messages)

    @property
    def cached(self) -> set[str]:
        """Blocks that were not run again."""
        return set(next(body["nodes"] for name, body in self.messages if name == "execution_cached"))


class Host:
    """A running ComfyUI with folders of its own."""

    def __init__(self, base: Path, url: str, process_id: int):
        self.base, self.url, self.process_id = base, url, process_id

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=_ANSWER_LIMIT_S) as answer:
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_ANSWER_LIMIT_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def queue(self, prompt: dict[str, Any], **extra: Any) -> str:
        """Queue a prompt in the API form; its id."""
        return self.post("/prompt", {"prompt": prompt, **extra})["prompt_id"]

    def refused(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """What the host says of a prompt that it does not queue."""
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.queue(prompt)
        return json.load(caught.value)

    def wait(self, prompt_id: str, limit_s: float = _RUN_LIMIT_S) -> Outcome:
        """Wait for a queued prompt to end."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry is not None and entry.get("status"):
                status = entry["status"]
                return Outcome(status["status_str"], entry["outputs"], status["messages"], entry["prompt"][2])
            time.sleep(0.2)
        raise TimeoutError(f"prompt {prompt_id} still runs after {limit_s} s")

    def run(self, prompt: dict[str, Any], **extra: Any) -> Outcome:
        """Queue a prompt and wait for its end."""
        return self.wait(self.queue(prompt, **extra))

    def file(self, entry: dict[str, str]) -> Path:
        """The file that a block showed."""
        return self.base / entry["type"] / entry["subfolder"] / entry["filename"]

    def kill(self) -> None:
        """End the process as a power cut would."""
        os.kill(self.process_id, signal.SIGKILL)

    @property
    def input_folder(self) -> Path:
        return self.base / "input"

    def files(self) -> set[Path]:
        """All inputs and results; not the small copies of pictures that the face editor shows."""
        folders = (self.base / name for name in ("input", "output", "temp"))
        found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {path for path in found if not path.name.startswith("EMO_face_")}


def _python_of(comfyui: Path) -> str:
    if "COMFYUI_PYTHON" in os.environ:
        return os.environ["COMFYUI_PYTHON"]
    for folder in (comfyui / "venv", comfyui / ".venv", comfyui.parent / "venv"):
        if (folder / "bin" / "python").exists():
            return str(folder / "bin" / "python")
    raise FileNotFoundError(f"no venv in or beside {comfyui}: set COMFYUI_PYTHON to the host's Python")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_start(process: subprocess.Popen, url: str, log: Path) -> None:
    until = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"ComfyUI ended with {process.returncode}:\n{log.read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(url + "/system_stats", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise TimeoutError(f"ComfyUI did not answer within {_START_LIMIT_S} s:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def host_python() -> str:
    """The Python that the host runs with."""
    return _python_of(Path(os.environ["COMFYUI_PATH"]).resolve())


def _new_base(base: Path, nodes: str) -> Path:
    """The folders of a host, with this pack and the tests' own nodes in their places."""
    for folder in ("input", "output", "temp", "user", "models", "custom_nodes"):
        (base / folder).mkdir()
    (base / "custom_nodes" / "ComfyUI-EMO").symlink_to(ROOT)
    (base / "custom_nodes" / "of_the_tests.py").write_text(nodes or "NODE_CLASS_MAPPINGS = {}\n")
    return base


@pytest.fixture(scope="session")
def start_host(tmp_path_factory, host_python) -> Iterator[Any]:
    """Starts a ComfyUI on the CPU with this pack, and `nodes` as a file; all are stopped at the end."""
    comfyui = Path(os.environ["COMFYUI_PATH"]).resolve()
    running: list[subprocess.Popen] = []

    def start(*options: str, base: Path | None = None, nodes: str = "") -> Host:
        """base: folders of a host that has ended; None: new ones. nodes: code of nodes for the tests."""
        base = base or _new_base(tmp_path_factory.mktemp("comfyui"), nodes)
        port, log = _free_port(), base / "host.log"
        options = ("--base-directory", str(base), "--disable-auto-launch", "--disable-api-nodes", *options)
        command = [host_python, str(comfyui / "main.py"), "--cpu", "--port", str(port), *options]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=comfyui)
        running.append(process)
        url = f"http://127.0.0.1:{port}"
        _wait_for_start(process, url, log)
        return Host(base, url, process.pid)

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


@pytest.fixture(scope="session")
def comfy(start_host) -> Host:
    """The host that most tests share."""
    return start_host()
