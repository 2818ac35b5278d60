"""The work folder of a run: what is needed to go on after a cut at any instant.

`emo-run.json` says which run it is, `clip-000012.safetensors` holds the latents of a clip and the sampler's
state after it, `segment-0003.mp4` the encoded frames of a row of clips (see video_segments.py). A loop that
denoises the whole video together has no clips: `steps-000007.safetensors` holds where it stood after so many
steps. Every file is written under another name, brought to the disk and then renamed, so each is whole or
not there. Clips are dropped when their segment is there, but for the last one, which holds the state.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..errors import InputError
from .folder_lock import LOCK_NAME, FolderLock
from .run_record import OWN_NAME, clips_in, differing, numbers, store_settings, stored_settings
from .sampler_state import RunState, WindowedState
from .video_file import cannot_write
from .whole_file import PART_PREFIX, whole_file, write_whole

log = logging.getLogger(__name__)

State = TypeVar("State", bound=RunState)


def discard_run(folder: Path) -> None:
    """Remove a work folder.

    Raises:
        InputError: a run is using it.
        OSError: it cannot be removed.
    """
    run = RunFolder(folder, {}, 0, 1)
    run._lock.take()
    run.remove()


class RunFolder:
    """The work folder of one run; use it in a `with` statement.

    When the block ends, the folder stays for the next run of the same settings, unless nothing is in it or
    `remove` was called.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, str],
        clip_count: int,
        clips_per_segment: int,
        fresh: bool = False,
        keeps_clips: bool = True,
    ):
        """Nothing is read or written before the `with` block starts.

        Args:
            path: the folder, in a folder that exists; made if it is not there.
            settings: everything that decides the result, by name. A folder with other settings is emptied,
                and the log says which differ.
            clip_count: clips of the whole run.
            clips_per_segment: clips of each segment but the last.
            fresh: empty the folder in any case.
            keeps_clips: whether clips and the sampler's state after each are stored; otherwise segments are,
                and steps where a loop has them.
        """
        self.path, self.clip_count, self.clips_per_segment = path, clip_count, clips_per_segment
        self._settings, self._fresh, self._keeps_clips = dict(settings), fresh, keeps_clips
        self._lock = FolderLock(path)

    def __enter__(self) -> "RunFolder":
        """Raises InputError: the folder is in use, is no work folder, or cannot be written."""
        try:
            self.path.mkdir(exist_ok=True)
            self._check_own()
            self._lock.take()
            self._prepare()
        except OSError as error:
            self._lock.release()
            raise cannot_write(self.path, error) from error
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not any(self._numbers(part) for part in ("clip", "segment", "steps")):
            self.remove()
        elif kind is not None:
            done = f"{self.clips_done} of {self.clip_count} {'clips' if self._keeps_clips else 'segments'}"
            if self.steps_done:
                done = f"{self.steps_done} steps and {self.clips_done} of {self.clip_count} clips"
            log.info("%s are kept in %s: the same call goes on after them", done, self.path)
        self._lock.release()

    # --- clips ---

    @property
    def clips_done(self) -> int:
        """Clips that need not be sampled again."""
        if self._keeps_clips:
            return clips_in(self.path)
        return min(self.segments_done * self.clips_per_segment, self.clip_count)

    def save_clip(self, latents: Tensor, state: RunState) -> None:
        """Store the latents [1, F, C, h, w] of a clip and the state after it.

        Raises:
            InputError: the file cannot be written.
        """
        path = self._file("clip", state.clips_done - 1)
        tensors = {"latents": latents.cpu(), **state.to_tensors()}
        try:
            write_whole(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}))
        except OSError as error:
            raise cannot_write(path, error) from error

    def clip(self, index: int) -> Tensor:
        """The latents of a stored clip [1, F, C, h, w]."""
        return self._load("clip", index)["latents"]

    @property
    def steps_done(self) -> int:
        """Steps of a loop over the whole video that need not be done again."""
        steps = self._numbers("steps")
        return steps[-1] if steps else 0

    def save_steps(self, state: WindowedState) -> None:
        """Store where a loop over the whole video stands after a step, instead of after the step before.

        Raises:
            InputError: the file cannot be written.
        """
        path, earlier = self._file("steps", state.steps_done), self._numbers("steps")
        try:
            write_whole(path, save({name: value.contiguous() for name, value in state.to_tensors().items()}))
            for steps in earlier:
                self._file("steps", steps).unlink()
        except OSError as error:
            raise cannot_write(path, error) from error

    def restore(self, state: RunState) -> None:
        """Bring a state to where it stood after the last clip, or step, that is stored."""
        if self.steps_done:
            state.set_tensors(self._load("steps", self.steps_done), self.clips_done)
        elif self._keeps_clips and self.clips_done:
            state.set_tensors(self._load("clip", self.clips_done - 1), self.clips_done)
        state.clips_done = self.clips_done

    def clips(
        self, start: Callable[[], State], sample: Callable[[State], Iterator[Tensor]]
    ) -> Iterator[Tensor]:
        """The latents of all clips that are in no segment yet: first the stored ones, then new ones.

        Args:
            start: gives the state of a run before its first clip.
            sample: gives the latents of the clips from a state on, and keeps that up to date. Neither is
                called when every clip is stored.
        """
        for index in range(self.segments_done * self.clips_per_segment, self.clips_done):
            yield self.clip(index)
        if self.clips_done == self.clip_count:
            return
        state = start()
        self.restore(state)
        for latents in sample(state):
            if self._keeps_clips:
                self.save_clip(latents, state)
            yield latents.contiguous()  # as it comes from its file

    # --- segments ---

    @property
    def segments_done(self) -> int:
        """Segments that are encoded."""
        return len(self._numbers("segment"))

    @property
    def segments(self) -> list[Path]:
        """The files of all segments that are encoded, in order."""
        return [self.segment(index) for index in range(self.segments_done)]

    def segment(self, index: int) -> Path:
        """The file of a segment."""
        return self.path / f"segment-{index:04}.mp4"

    @contextmanager
    def new_segment(self) -> Iterator[Path]:
        """A path to write the next segment to; when it is whole, its clips are dropped but for the last.

        Raises:
            InputError: the segment cannot be written.
        """
        path = self.segment(self.segments_done)
        try:
            with whole_file(path) as part:
                yield part
            last = min(self.segments_done * self.clips_per_segment, self.clip_count) - 1
            for index in self._numbers("clip"):
                if index < last:
                    self._file("clip", index).unlink()
        except OSError as error:
            raise cannot_write(path, error) from error

    # --- the folder ---

    def remove(self) -> None:
        """Remove the run's files, and the folder if nothing else is in it."""
        self._clear()
        self._lock.remove()
        with suppress(OSError):
            self.path.rmdir()

    def _file(self, kind: str, number: int) -> Path:
        return self.path / f"{kind}-{number:06}.safetensors"

    def _load(self, kind: str, number: int) -> dict[str, Tensor]:
        # Clones, because tensors out of a file's bytes lie at any address: what is computed of them shall be
        # the same to the last bit.
        tensors = load(self._file(kind, number).read_bytes())
        return {name: tensor.clone() for name, tensor in tensors.items()}

    def _numbers(self, kind: str) -> list[int]:
        """Numbers of the stored clips or segments, in order."""
        return numbers(self.path, kind)

    def _check_own(self) -> None:
        strange = sorted(path.name for path in self.path.iterdir() if not OWN_NAME.fullmatch(path.name))
        if strange:
            raise InputError(
                got=f"work folder {self.path} with other files in it: {', '.join(strange[:3])}",
                allowed="a folder that is new, empty, or the work folder of an earlier run",
                do="choose another folder",
            )

    def _prepare(self) -> None:
        """Empty the folder unless it can be gone on with."""
        for path in self.path.glob(f"{PART_PREFIX}*"):
            path.unlink()
        self._drop_damaged()
        done, steps, why = self.clips_done, self.steps_done, self._reason_to_start_afresh()
        if (done or steps) and not why:
            after = f"step {steps}" if steps else f"clip {done} of {self.clip_count}"
            log.info("going on after %s, from %s", after, self.path)
            return
        if done or steps or self.segments_done:
            kept = f"{steps} steps" if steps else f"{done} clips"
            log.warning("starting afresh: the %s in %s are dropped, %s", kept, self.path, why)
        self._clear()
        store_settings(self.path, self._settings)

    def _reason_to_start_afresh(self) -> str:
        """Why the stored clips cannot or shall not be used; empty if they can."""
        if self._fresh:
            return "as wanted"
        changed = differing(stored_settings(self.path), self._settings)
        if changed:
            return f"they were made with another {', another '.join(changed)}"
        segments, clips = self._numbers("segment"), self._numbers("clip")
        first = min(len(segments) * self.clips_per_segment, self.clip_count - 1)
        needed = range(first, self.clips_done) if self._keeps_clips else ()
        whole = segments == list(range(len(segments))) and set(needed) <= set(clips)
        return "" if whole and self.clips_done >= first else "some of their files are missing"

    def _drop_damaged(self) -> None:
        """Remove the last clips as long as they cannot be read, which only a failing disk can cause."""
        for kind in ("clip", "steps"):
            for number in reversed(self._numbers(kind)):
                try:
                    self._load(kind, number)
                    break
                except SafetensorError:
                    log.warning("%s is damaged and sampled again", self._file(kind, number))
                    self._file(kind, number).unlink()

    def _clear(self) -> None:
        with suppress(FileNotFoundError):
            for path in self.path.iterdir():
                if OWN_NAME.fullmatch(path.name) and path.name != LOCK_NAME:
                    path.unlink(missing_ok=True)
