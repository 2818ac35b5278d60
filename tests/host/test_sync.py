"""Lip sync of videos that a real host made, measured with the evaluator's own detector."""

import pytest
import torch
from host.graphs import combine, sampler_prompt, write_wav
from PIL import Image
from torch import Tensor

from comfyui_emo.steps.pixels import to_bytes
from comfyui_emo.steps.video_file import read_video
from comfyui_emo.training.avatars.state import STATE
from comfyui_emo.training.detector import load_detector
from comfyui_emo.training.evaluation_set import EvaluationSet
from comfyui_emo.training.figures import lag_correlations, other_clips_correlation, peak_lag

CLIPS, SIZE_PX = 3, 128
LAGS = range(-5, 6)


@pytest.fixture(scope="module")
def held_out() -> EvaluationSet:
    """Avatars and voices that training never saw."""
    return EvaluationSet.load().first(CLIPS)


def opening_in_the_hosts_video(comfy, held_out: EvaluationSet, clip: int) -> Tensor:
    """Let the host animate a held-out clip with the model's own settings: mouth opening [T]."""
    picture = to_bytes(held_out.portrait(clip, SIZE_PX))[0].permute(1, 2, 0)
    Image.fromarray(picture.numpy()).save(comfy.input_folder / f"avatar{clip}.png")
    write_wav(comfy.input_folder / f"avatar{clip}.wav", held_out.voice(clip)[None], held_out.sample_rate_hz)
    x0, y0, x1, y1 = (round(SIZE_PX * side) for side in held_out.region(clip))
    prompt = sampler_prompt(seed=0, steps=0, voice=f"avatar{clip}.wav")
    prompt["image"]["inputs"]["image"] = f"avatar{clip}.png"
    prompt["face"]["inputs"] |= {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
    prompt["video"] = combine(latent=["sampler", 0], vae=["model", 1])
    outcome = comfy.run(prompt)
    assert outcome.status == "success", outcome.messages
    (entry,) = outcome.outputs["video"]["images"]
    video = read_video(comfy.file(entry))
    frames = torch.from_numpy(video.frames).permute(0, 3, 1, 2) / 255
    return load_detector().detect(frames)[:, STATE["open"]]


def test_the_mouth_follows_the_voice_in_the_hosts_videos(comfy, held_out):
    opening = torch.stack([opening_in_the_hosts_video(comfy, held_out, clip) for clip in range(CLIPS)])
    truth = held_out.states[..., STATE["open"]]
    correlations = lag_correlations(opening, truth, LAGS)
    assert correlations[0] >= 0.8 and peak_lag(correlations) == 0
    assert abs(other_clips_correlation(opening, truth)) <= 0.3
