"""Latents of a long video: the same values, in a file that nobody sees and that is gone with them."""

import gc
import re
import resource
from pathlib import Path

import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.steps import latent_file
from comfyui_emo.steps.latent_file import gather_latents

FRAMES, SHAPE = 30, (4, 6, 5)
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def clips(dtype=torch.float32):
    """30 frames in clips of 12, 12 and 6."""
    frames = torch.randn(FRAMES, *SHAPE, generator=torch.Generator().manual_seed(0)).to(dtype)
    return list(frames.split(12))


@pytest.fixture
def long(monkeypatch):
    monkeypatch.setattr(latent_file, "MOST_IN_MEMORY_BYTES", 1000)


def open_files(folder: Path) -> list[str]:
    """Files in a folder that this process has open or mapped, by the names they had."""
    opened = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return [name for name in [*opened, *mapped] if str(folder) in name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_long_video_has_the_values_of_a_short_one(tmp_path, monkeypatch, dtype):
    held = gather_latents(clips(dtype), FRAMES, tmp_path)
    monkeypatch.setattr(latent_file, "MOST_IN_MEMORY_BYTES", 1000)
    mapped = gather_latents(iter(clips(dtype)), FRAMES, tmp_path)
    assert mapped.dtype == dtype and mapped.device.type == "cpu" and mapped.is_contiguous()
    assert torch.equal(held, mapped) and torch.equal(mapped, torch.cat(clips(dtype)))
    mapped[3] = 0  # as a block that works in place would
    assert not mapped[3].any() and torch.equal(mapped[4:], held[4:])


@pytest.mark.skipif(not _STATUS.exists(), reason="no /proc to see open files in")
def test_the_file_is_gone_with_the_tensor_and_never_seen(tmp_path, long):
    latents = gather_latents(clips(), FRAMES, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(open_files(tmp_path)) > 0
    last = latents[-1:]
    del latents
    assert torch.equal(last, clips()[-1][-1:])  # a part keeps the whole
    del last
    gc.collect()
    assert open_files(tmp_path) == []


@pytest.mark.skipif(not _STATUS.exists(), reason="no /proc to see open files in")
def test_a_cancelled_run_leaves_no_file(tmp_path, long):
    def cancelled():
        yield clips()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather_latents(cancelled(), FRAMES, tmp_path)
    gc.collect()
    assert list(tmp_path.iterdir()) == [] and open_files(tmp_path) == []


def test_a_full_disk_is_an_error_that_says_so(tmp_path, long):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(InputError, match=r"cannot be written: File too large.*free space on the disk"):
            gather_latents(clips(), FRAMES, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        gather_latents(clips(), FRAMES, tmp_path / "vanished")


@pytest.mark.skipif(not _CLEAR.exists(), reason="no /proc to read peak memory from")
def test_latents_do_not_pile_up_in_memory(tmp_path, monkeypatch):
    def peak_bytes() -> int:
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", _STATUS.read_text())[1])

    def growth() -> int:
        """Bytes by which gathering 6,000 frames of 16x16x16, 98 MB, raises the peak of this process."""
        _CLEAR.write_text("5")
        before = peak_bytes()
        parts = (torch.full((12, 16, 16, 16), float(index)) for index in range(500))
        latents = gather_latents(parts, 6000, tmp_path)
        assert latents[[0, 11, 12, -1], 0, 0, 0].tolist() == [0, 0, 1, 499]
        return peak_bytes() - before

    assert growth() < 10_000_000
    monkeypatch.setattr(latent_file, "MOST_IN_MEMORY_BYTES", 2**30)
    assert growth() > 90_000_000  # that the measure sees what is held
