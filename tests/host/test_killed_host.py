"""A host that is killed at any moment: the same graph, queued in its next session, gives the same video."""

import os
import random
import threading
import time
from http.client import HTTPException

import pytest
from host.events import Events
from host.graphs import fill_input_folder, latent_prompt, talk_prompt

from comfyui_emo.steps.video_file import read_video

KILLS = int(os.environ.get("KILLS", "3"))
VOICE_S, CLIPS = 1.4, 3  # clips of 12 frames at 25 fps


class Session:
    """One session of a host, in which a prompt runs and the clips that it begins are counted."""

    def __init__(self, host, prompt):
        self.host, self.begun = host, 0
        self._events = Events(host.url, "counter")
        threading.Thread(target=self._count, daemon=True).start()
        self.id = host.queue(prompt, client_id="counter")

    def _count(self) -> None:
        try:
            for event in self._events:
                self.begun += event.kind == "text" and "step 1 of" in event.data["text"]
        except (OSError, ValueError, TypeError):
            return  # the host is gone

    def ended(self, within_s: float) -> bool:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            try:
                if self.host.get(f"/history/{self.id}"):
                    return True
            except (OSError, HTTPException):
                pass  # too busy to answer
            time.sleep(0.05)
        return False


def frames_of(session, node):
    outcome = session.host.wait(session.id)
    assert outcome.status == "success", outcome.messages
    (entry,) = outcome.outputs[node]["images"]
    return read_video(session.host.file(entry)).frames


@pytest.mark.parametrize(
    ("prompt", "node"),
    [(latent_prompt(seed=3, steps=3), "video"), (talk_prompt(), "talk")],
    ids=["EMOSampler", "EMOTalk"],
)
def test_a_killed_host_loses_a_clip_at_most(start_host, prompt, node):
    host = start_host()
    fill_input_folder(host.input_folder, VOICE_S)
    runs = host.base / "user" / "__emo_runs"
    uncut, started_s = Session(host, prompt), time.monotonic()
    wanted = frames_of(uncut, node)
    whole_s = time.monotonic() - started_s
    assert uncut.begun == CLIPS and list(runs.iterdir()) == []
    host.kill()
    moments, kills = random.Random(0), 0
    while kills < KILLS:
        begun, kills_before, finished = 0, kills, False
        while not finished:
            session = Session(start_host(base=host.base), prompt)
            if kills < KILLS and not session.ended(moments.uniform(0.3, 1) * whole_s):
                session.host.kill()
                kills += 1
            else:
                assert (frames_of(session, node) == wanted).all()
                session.host.kill()
                finished = True
            begun += session.begun
        assert begun <= CLIPS + kills - kills_before
        assert list(runs.iterdir()) == []
