"""The steps of the graph's blocks, one after the other, as ComfyUI would run them."""

from pathlib import Path

import torch

from ..host import manage
from ..models.checkpoints.emo import LoadedModel
from ..steps.graph_model import ModelVae, manage_model
from ..steps.graph_runs import sample_latent
from ..steps.graph_tensors import images_of_frames
from ..steps.graph_types import Face, refer
from ..steps.graph_video import frame_source, write_frames
from ..steps.graph_voice import encode_audio
from ..steps.sampling import no_progress
from ..steps.talk import TalkRequest
from ..steps.voice import read_voice


def run_graph(loaded: LoadedModel, request: TalkRequest, voice: Path, folder: Path) -> dict[str, float]:
    """Encode Audio, Reference Net, Sampler and Combine Video; gives the megabytes of sound that are held.

    Args:
        loaded: the model.
        request: what to animate, and how, but for the voice.
        voice: its file, which is read as a whole, as ComfyUI's Load Audio does.
        folder: for work folders and the video.
    """
    model = manage_model(loaded, torch.float32, manage)
    heard = read_voice(voice)
    audio = {"waveform": heard.samples[None, None], "sample_rate": heard.sample_rate_hz}
    picture = images_of_frames(request.portrait.pixels)
    face = Face(request.region, (picture.shape[2], picture.shape[1]))
    with torch.inference_mode():
        encoded = encode_audio(model, audio, float(request.fps), None, folder)
        reference, _ = refer(model, picture, face, None)
        latent = sample_latent(
            folder / "runs", model, reference, encoded, request.motion, request.sampling, no_progress
        )
        source = frame_source(None, latent, ModelVae(model))
        write_frames(
            folder / "graph.mp4", source, audio, encoded.timeline.fps, {}, lambda _: None, folder / "runs"
        )
    return {
        "sound_megabytes": round(heard.samples.nbytes / 2**20, 1),
        "heard_megabytes": round(encoded.features.nbytes / 2**20, 1),
        "latent_megabytes": round(latent["samples"].nbytes / 2**20, 1),
    }
