"""The benchmark of a published family's step, as far as a CPU and no checkout of its code go."""

import re
import sys

import pytest

from comfyui_emo.benchmarks.family_step import main

SMALL = "--device cpu --dtype float32 --latent-side 8 --narrower 10 --frames 2 --runs 1 --no-compile".split()


def test_a_step_is_counted_and_timed_on_a_cpu(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["family_step", "echomimic", *SMALL])
    main()
    told = capsys.readouterr().out
    counted = re.search(r"^echomimic: (\S+) TFLOP a guided step$", told, re.MULTILINE)
    timed = re.search(r"^echomimic, eager: (\S+) s, (\S+) TFLOP/s, \S+ of the matrix", told, re.MULTILINE)
    assert counted and timed
    assert float(timed[1]) * float(timed[2]) == pytest.approx(float(counted[1]), rel=0.02)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["echomimic", *SMALL], "no folder src/models.*a checkout of the family's own repository"),
        (["hallo", "echomimic", *SMALL], "--reference wants one family"),
        (["hallo"], "--reference wants one family, and --device cpu or cuda"),
        (["echomimic-acc", *SMALL], "--reference knows the code of hallo, echomimic, v-express, moore"),
    ],
)
def test_what_is_no_checkout_is_said(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["family_step", *given, "--reference", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert re.search(said, capsys.readouterr().err, re.DOTALL)
