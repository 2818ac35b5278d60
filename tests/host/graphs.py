"""Prompts in the API form, and what they read."""

import shutil
import wave
from pathlib import Path
from typing import Any

import torch

from comfyui_emo.steps.resampling import resample
from comfyui_emo.steps.voice import read_voice

ROOT = Path(__file__).resolve().parents[2]
PORTRAIT, VOICE, STEREO = "ada.png", "short.wav", "stereo.wav"
VOICE_S, STEREO_HZ = 0.6, 96_000
# The face of PORTRAIT.
FACE = {"x": 107, "y": 73, "width": 305, "height": 383}

Prompt = dict[str, dict[str, Any]]


def block(node_type: str, **inputs: Any) -> dict[str, Any]:
    """One node of a prompt; a list [node, output] is a link."""
    return {"class_type": node_type, "inputs": inputs}


def write_wav(path: Path, channels: torch.Tensor, rate_hz: int) -> None:
    """Write sound [C, T] as 16-bit PCM."""
    samples = (channels.clamp(-1, 1) * 32767).round().short().T.contiguous()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.numpy().tobytes())


def fill_input_folder(folder: Path, voice_s: float = VOICE_S) -> None:
    """Put a bundled portrait there, and a moment of a bundled voice: as it is, and in stereo at 96 kHz."""
    shutil.copy(ROOT / "assets" / "portraits" / PORTRAIT, folder)
    voice = read_voice(ROOT / "assets" / "voices" / "hello-spoken-f3.flac")
    samples = voice.samples[: round(voice_s * voice.sample_rate_hz)]
    write_wav(folder / VOICE, samples[None], voice.sample_rate_hz)
    fine = resample(samples, voice.sample_rate_hz, STEREO_HZ)
    write_wav(folder / STEREO, torch.stack([fine, 0.5 * fine]), STEREO_HZ)


def talk_prompt(voice: str = VOICE) -> Prompt:
    """Picture and voice -> EMO Talk -> Save Video."""
    return {
        "image": block("LoadImage", image=PORTRAIT),
        "audio": block("LoadAudio", audio=voice),
        "talk": block("EMOTalk", image=["image", 0], audio=["audio", 0]),
        "save": block("SaveVideo", video=["talk", 0], filename_prefix="talk", format="auto", codec="auto"),
    }


def sampler_prompt(seed: int = 0, steps: int = 2, duration: float = 0.0, voice: str = VOICE) -> Prompt:
    """Every block up to the sampler; it has no output of its own."""
    own = {"model": ["model", 0]}
    return {
        "image": block("LoadImage", image=PORTRAIT),
        "audio": block("LoadAudio", audio=voice),
        "model": block("EMOLoadModel", model_file="bundled avatar model", dtype="float32"),
        "face": block(
            "EMOFaceRegion", image=["image", 0], face_index=-1, margin_x=-1.0, margin_y=-1.0,
            if_no_face="stop", **FACE,
        ),
        "voice": block(
            "EMOEncodeAudio", audio=["audio", 0], fps=0.0, start=0.0, duration=duration,
            normalize_volume=False, **own,
        ),
        "motion": block("EMOHeadMotion", style="calm", speed=0.5, **own),
        "reference": block("EMOReferenceNet", image=["image", 0], face=["face", 0], **own),
        "sampler": block(
            "EMOSampler", reference=["reference", 0], voice=["voice", 0], motion=["motion", 0], steps=steps,
            voice_guidance=1.0, seed=seed, **own,
        ),
    }  # fmt: skip


def combine(**frames: Any) -> dict[str, Any]:
    """Combine Video of a latent and its VAE, or of images, with the encoded voice's sound and frame rate."""
    return block(
        "EMOCombineVideo", audio=["voice", 1], fps=["voice", 3], format="mp4", save_output=True,
        filename_prefix="blocks", **frames,
    )  # fmt: skip


def latent_prompt(**settings: Any) -> Prompt:
    """All blocks; the latents are decoded into the file."""
    return {**sampler_prompt(**settings), "video": combine(latent=["sampler", 0], vae=["model", 1])}


def paste_prompt(**settings: Any) -> Prompt:
    """All blocks; the latents are decoded by the host and pasted back into the picture."""
    return {
        **sampler_prompt(**settings),
        "decode": block("VAEDecode", samples=["sampler", 0], vae=["model", 1]),
        "paste": block(
            "EMOPasteBack", images=["decode", 0], picture=["image", 0], reference=["reference", 0],
            feather=0.1,
        ),
        "video": combine(images=["paste", 0]),
    }  # fmt: skip
