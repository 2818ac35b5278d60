"""What a file that is no model of this project seems to be, for a message that helps."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

# How a file starts -> what that means.
_STARTS = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes its pickles"),
    (b"\x80", "a Python pickle"),
    (b"GGUF", "a GGUF file"),
    (b"version https://git-lfs", "a Git LFS pointer, which stands for a file that was not fetched"),
    (b"<", "a web page, perhaps saved in place of a download"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
)
# What the name of some tensor starts with -> what such files hold.
_TENSORS = (
    ("model.diffusion_model.", "a Stable Diffusion checkpoint"),
    ("first_stage_model.", "a Stable Diffusion autoencoder"),
    ("lora_", "a LoRA"),
    ("wav2vec2.", "a wav2vec 2.0 voice encoder"),
    ("down_blocks.", "a UNet of diffusers"),
    ("encoder.down_blocks.", "an autoencoder of diffusers"),
)


def stated_format(path: Path) -> str:
    """What a safetensors file states to be in its metadata; empty for any other file."""
    try:
        with safe_open(path, framework="pt") as weights:
            metadata = weights.metadata() or {}
    except SafetensorError:
        return ""
    return metadata.get("format", metadata.get("kind", ""))


def kind_of_file(path: Path) -> str:
    """What a readable file seems to be, in words."""
    try:
        with safe_open(path, framework="pt") as weights:
            names = sorted(weights.keys())
    except SafetensorError:
        return _kind_of_start(path)
    for beginning, words in _TENSORS:
        if any(name.startswith(beginning) for name in names):
            return words
    stated = stated_format(path)
    states = f" that states to be {stated!r}" if stated else ""
    return f"a safetensors file{states} with {len(names)} tensors ({', '.join(names[:3])}, ...)"


def _kind_of_start(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(32)
    if not start:
        return "an empty file"
    if start[8:9] == b"{":
        return "a safetensors file that is damaged or cut short"
    for beginning, words in _STARTS:
        if start.startswith(beginning):
            return words
    return f"no safetensors file (it starts with {start[:8]!r})"
