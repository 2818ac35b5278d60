"""The package around the code: what is installed, what is loaded, and which way the imports point."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

NOT_PACKAGED = {"tests", "benchmarks", "build", "dist", "out"}
DATA_FOLDERS = ("assets", "js", "locales", "models/weights", "training/evaluation", "workflows")
BUNDLED_WEIGHTS_MAX_BYTES = 24_000_000

# room -> rooms it must not know. Arrows: nodes, cli, training -> steps -> models -> errors.
DOORS = {"nodes", "host", "cli", "commands"}
FORBIDDEN = {
    "errors": {"models", "steps", "training", *DOORS},
    "models": {"steps", "training", *DOORS},
    "steps": {"training", *DOORS},
    "training": DOORS,
    "host": {"training", "nodes", "cli", "commands"},
    "nodes": {"training", "cli", "commands"},
    "commands": {"nodes", "host"},
}
HEAVY = ("torch", "numpy", "diffusers", "transformers", "kornia", "av", "PIL", "safetensors")
HOST_MODULES = {"comfy", "comfy_api", "comfy_extras", "execution", "folder_paths", "latent_preview", "server"}


@cache
def _package_files() -> tuple[Path, ...]:
    """Every Python file of the package, relative to the root."""
    entries = [entry for entry in ROOT.iterdir() if entry.name not in NOT_PACKAGED and entry.name[0] != "."]
    files = [entry for entry in entries if entry.suffix == ".py"]
    files += [file for entry in entries if entry.is_dir() for file in entry.rglob("*.py")]
    return tuple(sorted(file.relative_to(ROOT) for file in files))


def _source(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def _imports(file: Path) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Yields each import of a file with the dotted name it reaches, relative ones counted from the root."""
    for statement in ast.walk(ast.parse(_source(file))):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield statement, alias.name
        elif isinstance(statement, ast.ImportFrom):
            steps_up = statement.level - 1
            base = file.parent.parts[: len(file.parent.parts) - steps_up] if statement.level else ()
            module = (statement.module,) if statement.module else ()
            for alias in statement.names:
                yield statement, ".".join((*base, *module, alias.name))


def _is_relative(statement: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.level > 0


def _run_python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False,
    )


def _requirement_names(lines: list[str]) -> set[str]:
    """Normalised package names of requirement lines, comments and extras left out."""
    bare = (re.split(r"[<>=!~;\[# ]", line.strip(), maxsplit=1)[0] for line in lines)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in bare if name}


def _requirement_file(name: str) -> list[str]:
    return _source(Path(name)).splitlines()


# --- what is installed ---


def test_the_package_list_is_the_tree():
    folders = {file.parent for file in _package_files() if file.name == "__init__.py"}
    tree = sorted(".".join(("comfyui_emo", *folder.parts)) for folder in folders)
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == tree


def test_every_folder_with_code_is_a_package():
    folders = {file.parent for file in _package_files()}
    assert [str(folder) for folder in sorted(folders) if not (ROOT / folder / "__init__.py").is_file()] == []


def test_every_bundled_file_is_installed():
    globs = PROJECT["tool"]["setuptools"]["package-data"]["comfyui_emo"]
    installed = {path for glob in globs for path in ROOT.glob(glob) if path.is_file()}
    bundled = {path for folder in DATA_FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    code = {path for path in bundled if path.suffix in {".py", ".pyc"}}
    assert sorted(bundled - code - installed) == []


def test_the_bundled_weights_stay_small():
    sizes = [path.stat().st_size for path in (ROOT / "models" / "weights").glob("*")]
    assert sum(sizes) <= BUNDLED_WEIGHTS_MAX_BYTES


def test_tested_versions_cover_every_dependency():
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = _requirement_names([*PROJECT["project"]["dependencies"], *sum(extras.values(), [])])
    assert sorted(wanted - _requirement_names(_requirement_file("constraints.txt"))) == []


def test_the_package_itself_states_only_minima():
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *sum(extras.values(), [])]
    assert [line for line in lines if not re.fullmatch(r"[\w-]+>=[\d.]+", line)] == []


def test_a_host_is_asked_only_for_what_it_does_not_bring():
    assert _requirement_names(_requirement_file("requirements.txt")) == {"diffusers"}


# --- what is loaded ---


def test_importing_the_package_loads_nothing_heavy_and_says_nothing(tmp_path: Path):
    code = (
        "import sys, comfyui_emo; from pathlib import Path\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
        "assert Path(comfyui_emo.__file__).with_name(comfyui_emo.WEB_DIRECTORY[2:]).name == 'js'"
    )
    result = _run_python(code, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


# Loads a folder as ComfyUI's nodes.py does: by file location, under a name made of the path.
CUSTOM_NODE_LOADER = """
import importlib.util, os, sys
folder = os.path.abspath("custom_nodes/ComfyUI-EMO")
name = folder.replace(".", "_x_")
spec = importlib.util.spec_from_file_location(name, os.path.join(folder, "__init__.py"))
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
assert set(module.NODE_CLASS_MAPPINGS) == set(module.NODE_DISPLAY_NAME_MAPPINGS)
assert all(node_id.startswith("EMO") for node_id in module.NODE_CLASS_MAPPINGS)
assert os.path.isdir(os.path.join(folder, module.WEB_DIRECTORY))
import nodes
assert nodes.I_AM == "the host", nodes.__file__
own = {"comfyui_emo", "errors", "models", "steps", "training"} & set(sys.modules)
assert not own, own
"""


def test_dropped_into_custom_nodes_it_loads_and_hides_nothing_of_the_host(tmp_path: Path):
    (tmp_path / "nodes.py").write_text("I_AM = 'the host'\n", encoding="utf-8")
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "ComfyUI-EMO").symlink_to(ROOT, target_is_directory=True)
    result = _run_python(CUSTOM_NODE_LOADER, tmp_path, PYTHONPATH=str(tmp_path))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_root_is_not_on_the_tests_path():
    assert str(ROOT) not in {str(Path(entry or ".").resolve()) for entry in sys.path}


# --- which way the imports point ---


@pytest.fixture(scope="module")
def own_names() -> set[str]:
    """Top-level names an absolute import must not use: they are the host's, or nobody's."""
    return {"comfyui_emo", *(file.parts[0].removesuffix(".py") for file in _package_files())}


def test_imports_inside_the_package_are_relative(own_names: set[str]):
    offenders = [
        f"{file}:{statement.lineno} imports {name}"
        for file in _package_files()
        for statement, name in _imports(file)
        if not _is_relative(statement) and name.split(".")[0] in own_names
    ]
    assert offenders == []


def test_arrows_go_one_way():
    offenders = [
        f"{file}:{statement.lineno} reaches {name}"
        for file in _package_files()
        for statement, name in _imports(file)
        if _is_relative(statement)
        and name.split(".")[0] in FORBIDDEN.get(file.parts[0].removesuffix(".py"), set())
    ]
    assert offenders == []


def test_only_the_host_room_knows_comfyui():
    offenders = [
        f"{file}:{statement.lineno} imports {name}"
        for file in _package_files()
        for statement, name in _imports(file)
        if not _is_relative(statement) and name.split(".")[0] in HOST_MODULES and file.parts[0] != "host"
    ]
    assert offenders == []


# --- the house's measures ---


def test_files_are_short():
    lengths = {str(file): len(_source(file).splitlines()) for file in _package_files()}
    assert {file: length for file, length in lengths.items() if length >= 300} == {}


def test_only_the_command_line_prints():
    offenders = [
        f"{file}:{node.lineno}"
        for file in _package_files()
        if file.parts[0] not in {"cli.py", "commands"}
        for node in ast.walk(ast.parse(_source(file)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert offenders == []
