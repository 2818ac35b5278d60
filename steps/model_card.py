"""What a user is told of a model where it is chosen: whose it is, its licence, and what comes with it."""

from ..models.checkpoints.emo import BUNDLED_MODEL, LoadedModel
from ..models.checkpoints.open_model import missing_files


def describe_model(model: LoadedModel) -> str:
    """One line: title, licence of the weights, and the defaults of steps, guidance, frame rate and clips."""
    config, defaults = model.config, model.config.defaults
    title = model.training.get("title", config.name)
    own = "Apache-2.0" if model.path == BUNDLED_MODEL else "not stated in the file"
    licence = model.training.get("licence", own)
    together = "windows" if config.loop.kind == "windows" else "clips"
    return (
        f"{title}, licence of the weights: {licence}; by default {defaults.steps} steps of "
        f"{defaults.scheduler}, guidance {defaults.voice_guidance:g}, {defaults.fps:g} fps, {together} of "
        f"{config.temporal.frames_per_clip} frames, {defaults.width_px}x{defaults.height_px} pixels"
        + _lacks(model)
    )


def _lacks(model: LoadedModel) -> str:
    files = missing_files(model.networks).values()
    told = " and ".join(
        f"{file.name} ({file.licence}, {file.source}) in its folder or in {file.folder}" for file in files
    )
    return f"; it still needs {told}" if told else ""
