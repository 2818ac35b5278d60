"""The work folder: what it keeps and gives back, and what it makes of a folder that is not as it left it."""

import logging
from dataclasses import replace

import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.steps.resume import RunFolder
from comfyui_emo.steps.run_record import run_name
from comfyui_emo.steps.sampler_state import SamplerState

CONFIG = replace(avatar_config(), diffusion=replace(avatar_config().diffusion, noise_correlation_frames=2.0))
CLIPS, PER_SEGMENT, FRAMES = 8, 3, 4
SETTINGS = {"seed": "1", "voice": "abc"}


def start() -> SamplerState:
    return SamplerState.start(CONFIG, (2, 3, 3), seed=1)


def sample(state: SamplerState):
    """Stands for the sampler: every clip depends on its noise and on the clip before."""
    while state.clips_done < CLIPS:
        latents = state.noise.next(FRAMES) + (0 if state.last is None else state.last.mean())
        state.last = latents[:, -2:].clone()
        state.clips_done += 1
        yield latents


WHOLE = list(sample(start()))


@pytest.fixture
def folder(tmp_path):
    def make(**options) -> RunFolder:
        given = {"settings": SETTINGS, "clip_count": CLIPS, "clips_per_segment": PER_SEGMENT, **options}
        return RunFolder(tmp_path / "work", **given)

    return make


def take(run: RunFolder, count: int) -> list[torch.Tensor]:
    clips = run.clips(start, sample)
    return [next(clips) for _ in range(count)]


def write_segment(run: RunFolder, content: bytes = b"frames"):
    with run.new_segment() as part:
        part.write_bytes(content)


def same(clips: list[torch.Tensor], wanted: list[torch.Tensor]) -> bool:
    return len(clips) == len(wanted) and all(map(torch.equal, clips, wanted))


def names(run: RunFolder) -> list[str]:
    return sorted(path.name for path in run.path.iterdir() if "emo-run" not in path.name)


@pytest.mark.parametrize("done", range(1, CLIPS + 1))
def test_stored_clips_come_back_and_the_rest_is_as_if_never_stopped(folder, done):
    with folder() as run:
        take(run, done)
    with folder() as run:
        assert run.clips_done == done
        assert same(list(run.clips(start, sample)), WHOLE)


def test_a_segment_drops_its_clips_but_the_last(folder):
    with folder() as run:
        clips = run.clips(start, sample)
        for _ in range(PER_SEGMENT + 1):
            next(clips)
        write_segment(run)
        assert names(run) == ["clip-000002.safetensors", "clip-000003.safetensors", "segment-0000.mp4"]
    with folder() as run:
        assert same(list(run.clips(start, sample)), WHOLE[PER_SEGMENT:])


def test_when_all_clips_are_stored_nothing_is_loaded_for_sampling(folder):
    def never(*_):
        raise AssertionError

    with folder() as run:
        take(run, CLIPS)
    with folder() as run:
        assert same(list(run.clips(never, never)), WHOLE)
        for _ in range(3):
            write_segment(run)
    with folder() as run:
        assert (list(run.clips(never, never)), run.segments_done, run.clips_done) == ([], 3, CLIPS)


def test_a_segment_that_fails_is_not_there(folder):
    with folder() as run:
        take(run, PER_SEGMENT)
        with pytest.raises(KeyboardInterrupt), run.new_segment() as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt
        assert run.segments_done == 0
        assert len(names(run)) == PER_SEGMENT


def test_what_was_half_written_when_the_process_died_is_removed(folder):
    with folder() as run:
        take(run, 2)
        (run.path / ".part-clip-000002.safetensors").write_bytes(b"half")
    with folder() as run:
        assert names(run) == ["clip-000000.safetensors", "clip-000001.safetensors"]


def test_nothing_done_leaves_nothing_and_removing_leaves_nothing(folder):
    with folder() as run:
        assert run.path.is_dir()
    assert not run.path.exists()
    with folder() as run:
        take(run, 2)
        run.remove()
    assert not run.path.exists()


def test_other_settings_are_named_and_the_old_clips_dropped(folder, caplog):
    with folder() as run:
        take(run, 4)
        write_segment(run)
    with caplog.at_level(logging.INFO), folder(settings={"seed": "2", "steps": "3", "voice": "abc"}) as run:
        assert (run.clips_done, run.segments_done, names(run)) == (0, 0, [])
    assert "starting afresh: the 4 clips" in caplog.text
    assert "made with another seed, another steps" in caplog.text


def test_a_damaged_clip_is_sampled_again(folder, caplog):
    with folder() as run:
        take(run, 5)
        damaged = run.path / "clip-000004.safetensors"
        damaged.write_bytes(damaged.read_bytes()[:-7])
    with folder() as run:
        assert run.clips_done == 4
        assert same(list(run.clips(start, sample)), WHOLE)
    assert "clip-000004.safetensors is damaged and sampled again" in caplog.text


@pytest.mark.parametrize("missing", ["segment-0000.mp4", "clip-000003.safetensors", "emo-run.json"])
def test_a_folder_with_a_file_missing_is_not_gone_on_with(folder, caplog, missing):
    with folder() as run:
        clips = run.clips(start, sample)
        for _ in range(PER_SEGMENT + 2):
            next(clips)
        write_segment(run)
        (run.path / missing).unlink()
    with folder() as run:
        assert (run.clips_done, run.segments_done) == (0, 0)
    assert "starting afresh" in caplog.text


def test_a_folder_in_use_is_refused_and_not_touched(folder):
    with folder() as run:
        take(run, 1)
        with pytest.raises(InputError, match="another run is using"), folder(fresh=True):
            pass
        assert run.clips_done == 1
    with folder() as run:
        assert run.clips_done == 1


@pytest.mark.parametrize("kind", ["file", "no parent"])
def test_a_place_that_cannot_be_a_folder(tmp_path, kind):
    if kind == "file":
        (tmp_path / "work").touch()
    path = tmp_path / "work" if kind == "file" else tmp_path / "no" / "work"
    with pytest.raises(InputError, match="work cannot be written"), RunFolder(path, {}, 1, 1):
        pass


def test_a_name_belongs_to_the_settings_alone():
    assert run_name(SETTINGS) == run_name(dict(reversed(SETTINGS.items())))
    assert run_name(SETTINGS) != run_name({**SETTINGS, "seed": "2"})
