"""The progress bar of a run, on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from ..steps.sampling import OnProgress, Progress

_FORMAT = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed} passed, {remaining} left"
# A log file gets a line now and then, a terminal a bar that moves.
_TERMINAL_INTERVAL_S, _FILE_INTERVAL_S = 0.1, 5.0


@contextmanager
def progress_bar(clips: int, steps: int, videos: int = 1) -> Iterator[OnProgress]:
    """A bar over all steps of all clips of the videos; what it yields is the sampler's `on_progress`."""
    interval_s = _TERMINAL_INTERVAL_S if sys.stderr.isatty() else _FILE_INTERVAL_S
    start = f"clip 1 of {clips}, step 0 of {steps}"
    total = videos * clips * steps
    with tqdm(total=total, desc=start, file=sys.stderr, bar_format=_FORMAT, mininterval=interval_s) as bar:

        def show(progress: Progress) -> None:
            done_before = (progress.clip - 1) * progress.steps + progress.step - 1  # in this video
            if bar.n == 0:
                bar.initial = bar.n = done_before  # what a run goes on from took no time
            video = f"video {int(bar.n) // (clips * steps) + 1} of {videos}, " if videos > 1 else ""
            bar.set_description_str(
                f"{video}clip {progress.clip} of {progress.clips}, step {progress.step} of {progress.steps}",
                refresh=False,
            )
            bar.update()

        yield show
