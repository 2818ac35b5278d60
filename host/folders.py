"""Where files lie: models, results, temporary files. Without a host it is the working folder."""

import os
from pathlib import Path
from typing import Any, NoReturn

from ..errors import InputError, WeightsError
from .present import host_module, hosted

MODEL_FOLDER = "emo"
"""The folder of models, under the host's folder `models` and in its extra_model_paths."""

_WEIGHTS_SUFFIX = ".safetensors"
_DETECTOR_SUFFIX = ".pth"
_PUBLISHED_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
# Folders below a model's own in which its files may lie.
_PUBLISHED_DEPTH = 3


def model_folders() -> list[Path]:
    """Where files of weights are looked for; the folder is announced to the host, never made."""
    if not hosted():
        return [Path("models") / MODEL_FOLDER]
    folder_paths = host_module("folder_paths")
    own = os.path.join(folder_paths.models_dir, MODEL_FOLDER)
    known, _ = folder_paths.folder_names_and_paths.get(MODEL_FOLDER, ([], set()))
    if own not in known:
        folder_paths.add_model_folder_path(MODEL_FOLDER, own, is_default=True)
    folder_paths.folder_names_and_paths[MODEL_FOLDER][1].update((_WEIGHTS_SUFFIX, _DETECTOR_SUFFIX))
    return [Path(folder) for folder in folder_paths.get_folder_paths(MODEL_FOLDER)]


def model_files() -> list[str]:
    """Names of the models in the folders, relative to them, as a list to choose from shows them."""
    folders = model_folders()
    if hosted():
        names = host_module("folder_paths").get_filename_list(MODEL_FOLDER)
        return [name for name in names if name.endswith(_WEIGHTS_SUFFIX)]
    found = ((folder, path) for folder in folders for path in folder.rglob(f"*{_WEIGHTS_SUFFIX}"))
    return sorted(path.relative_to(folder).as_posix() for folder, path in found)


def published_folders() -> dict[str, list[str]]:
    """Folders of published files in the folders of models, each with its files' names without endings."""
    found: dict[str, list[str]] = {}
    for folder in model_folders():
        for path, _, names in os.walk(folder, followlinks=True):
            inside = Path(path).relative_to(folder)
            stems = [Path(name).stem for name in names if Path(name).suffix.lower() in _PUBLISHED_SUFFIXES]
            for top in inside.parts[:1] if len(inside.parts) <= _PUBLISHED_DEPTH else ():
                found.setdefault(top, []).extend(stems)
    return dict(sorted(found.items()))


def shared_folders() -> list[Path]:
    """Where autoencoders and voice encoders of many models lie."""
    if not hosted():
        return [folder for folder in (Path("models/vae"), Path("models/audio_encoders")) if folder.is_dir()]
    folder_paths = host_module("folder_paths")
    kinds = [kind for kind in ("vae", "audio_encoders") if kind in folder_paths.folder_names_and_paths]
    folders = [Path(folder) for kind in kinds for folder in folder_paths.get_folder_paths(kind)]
    return [folder for folder in folders if folder.is_dir()]


def find_model_file(name: str) -> Path | None:
    """A file of this name in the folders; None if there is none."""
    found = (folder / name for folder in model_folders())
    return next((path for path in found if path.is_file()), None)


def find_model_folder(name: str) -> Path | None:
    """A folder of this name in the folders; None if there is none."""
    found = (folder / name for folder in model_folders())
    return next((path for path in found if path.is_dir()), None)


def model_path(name: str) -> Path:
    """A file, or a folder of published files, of this name in the folders.

    Raises:
        WeightsError: there is none.
    """
    path = find_model_file(name) or find_model_folder(name)
    if path is None:
        raise WeightsError(
            got=f"no file or folder {name}",
            allowed=f"a model in {', '.join(str(folder) for folder in model_folders())}",
            do="put it there, or choose the bundled model",
        )
    return path


def input_file(name: str) -> Path:
    """A file of this name in the host's input folder, else in the folders of models.

    Raises:
        InputError: there is none, or the name leads out of them.
    """
    own = Path(host_module("folder_paths").get_input_directory()) if hosted() else Path("input").absolute()
    folders = [own, *model_folders()]
    return _file_in(folders, name) or _not_there(name, folders, "put the file there")


def save_folder(temporary: bool) -> Path:
    """The host's output folder, or its temporary one, which it empties when it starts."""
    if not hosted():
        return Path("temp" if temporary else "output").absolute()
    folder_paths = host_module("folder_paths")
    return Path(folder_paths.get_temp_directory() if temporary else folder_paths.get_output_directory())


def runs_folder() -> Path:
    """Where runs that may go on keep their work; not made here.

    It lies among the host's users, under a name that the page cannot reach: the temporary folder would not
    do, since the host empties that when it starts.
    """
    base = Path(host_module("folder_paths").get_user_directory()) if hosted() else Path("user").absolute()
    return base / "__emo_runs"


def output_path(prefix: str, temporary: bool = False, suffix: str = ".mp4") -> Path:
    """A new file `<prefix>_00001_<suffix>` in the host's output or temporary folder; subfolders are made.

    Args:
        prefix: name, with subfolders in front if wanted ("video/EMO").
        temporary: in the folder that the host empties when it starts.
        suffix: end of the name, ".mp4" for example.
    """
    base = save_folder(temporary)
    if hosted():
        folder, name, count, _, _ = host_module("folder_paths").get_save_image_path(prefix, str(base))
        return Path(folder) / f"{name}_{count:05}_{suffix}"
    stem = base / prefix
    stem.parent.mkdir(parents=True, exist_ok=True)
    count = 1
    while (path := stem.with_name(f"{stem.name}_{count:05}_{suffix}")).exists():
        count += 1
    return path


def media_file(name: str, video: Any = None) -> Path:
    """The file of a connected VIDEO, else of a name in the host's input, output or temporary folder.

    Raises:
        InputError: neither is given, the VIDEO is no file, or there is no such file in these folders.
    """
    if video is not None:
        source = video if isinstance(video, Path) else video.get_stream_source()
        if isinstance(source, str | Path):
            return Path(source)
        raise InputError(
            got="a video in memory", allowed="a video that is a file", do="save it first, then give its name"
        )
    folders = [save_folder(False), save_folder(True)]
    if hosted():
        folders.insert(0, Path(host_module("folder_paths").get_input_directory()))
    do = "put the file there, or connect the video"
    return _file_in(folders, name) or _not_there(name, folders, do, ", or a video that is connected")


def _file_in(folders: list[Path], name: str) -> Path | None:
    for folder in folders:
        path = (folder / name).resolve()
        if name and path.is_file() and path.is_relative_to(folder.resolve()):
            return path
    return None


def _not_there(name: str, folders: list[Path], do: str, otherwise: str = "") -> NoReturn:
    raise InputError(
        got=f"no file {name!r}",
        allowed=f"a name in {', '.join(str(folder) for folder in folders)}{otherwise}",
        do=do,
    )
