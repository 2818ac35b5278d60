"""Content Credentials in files, written and read."""

import json
import subprocess
import sys

import av
import pytest
from PIL import Image, PngImagePlugin

from comfyui_emo.errors import InputError
from comfyui_emo.steps.marking import credentials
from comfyui_emo.steps.marking.credentials import read_credentials, sign_file
from comfyui_emo.steps.marking.signing_keys import find_signing_key, local_root_path
from comfyui_emo.steps.pack_version import pack_version

c2pa = pytest.importorskip("c2pa")


@pytest.fixture(params=["video", "picture"])
def file(request):
    return request.getfixturevalue(request.param)


def test_a_signed_file_says_how_it_was_made(file, provenance):
    assert read_credentials(file).state == "absent"
    sign_file(file, file.name, provenance, find_signing_key())
    found = read_credentials(file)
    assert (found.state, found.signed_here, found.synthetic) == ("valid", True, True)
    assert found.problems == ("signingCredential.untrusted",)
    assert found.generator == f"ComfyUI-EMO {pack_version()}"
    assert found.payload == "deadbeef"
    assert found.generation["model"] == {"name": "avatar-128", "sha256": "ab" * 32}
    assert found.generation["portrait"] == {"sha256": "cd" * 32}
    assert found.generation["voice"] == {"sha256": "ef" * 32}
    assert found.generation["consent"] == "They agreed."
    assert found.created.endswith("Z")
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_manifest_is_what_c2pa_asks_of_synthetic_media(video, provenance):
    sign_file(video, video.name, provenance, find_signing_key())
    with open(video, "rb") as stream:
        manifest = json.loads(c2pa.Reader("video/mp4", stream).json())
    active = manifest["manifests"][manifest["active_manifest"]]
    actions = next(entry for entry in active["assertions"] if entry["label"].startswith("c2pa.actions"))
    assert actions["data"]["actions"][0]["action"] == "c2pa.created"
    assert actions["data"]["actions"][0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert {part["title"]: part["instance_id"] for part in active["ingredients"]} == {
        "portrait": "urn:sha256:" + "cd" * 32,
        "voice": "urn:sha256:" + "ef" * 32,
    }
    assert "thumbnail" not in active


def test_a_signer_is_trusted_only_by_an_authority_that_was_given(video, provenance, certificate):
    own = certificate("Studio")
    sign_file(video, video.name, provenance, find_signing_key(own.chain, own.key))
    found = read_credentials(video)
    assert (found.state, found.signer, found.signed_here) == ("valid", "Studio", False)
    assert read_credentials(video, own.root.read_text()).state == "trusted"
    assert read_credentials(video, certificate("Other").root.read_text()).state == "valid"


def test_the_local_authority_can_be_trusted(video, provenance):
    sign_file(video, video.name, provenance, find_signing_key())
    assert read_credentials(video, local_root_path().read_text()).state == "trusted"


_SIGN_AND_READ = """
import re, sys
from pathlib import Path
from comfyui_emo.steps.marking.credentials import Provenance, read_credentials, sign_file
from comfyui_emo.steps.marking.signing_keys import find_signing_key
video, peaks = Path(sys.argv[1]), []
key = find_signing_key()
for work in (lambda: sign_file(video, video.name, Provenance("a", "", "", "", None), key),
             lambda: read_credentials(video)):
    work()
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
print(*peaks)
"""


def test_a_long_video_is_signed_and_checked_in_little_memory_to_its_last_byte(video):
    megabytes = 150
    content = video.read_bytes()
    at, moov = content.index(b"mdat") - 4, content.index(b"moov") - 4
    size = moov - at + (megabytes << 20)  # as if the video were an hour long: media data that nobody plays
    with open(video, "wb") as stream:
        stream.write(content[:at] + size.to_bytes(4, "big") + content[at + 4 : moov])
        for part in range(megabytes):
            stream.write(bytes([part]) * (1 << 20))
        stream.write(content[moov:])
    told = subprocess.run(
        [sys.executable, "-c", _SIGN_AND_READ, video], stdout=subprocess.PIPE, text=True, check=True
    )
    assert all(int(peak) < megabytes for peak in told.stdout.split()), told.stdout
    assert read_credentials(video).state == "valid"
    with open(video, "r+b") as stream:
        stream.seek(megabytes << 20)
        stream.write(b"?")
    assert read_credentials(video).state == "tampered"


def test_one_changed_bit_is_noticed(file, provenance):
    sign_file(file, file.name, provenance, find_signing_key())
    content = bytearray(file.read_bytes())
    at = content.index(b"mdat") + 400 if file.suffix == ".mp4" else content.rindex(b"IDAT") + 20
    content[at] ^= 1
    file.write_bytes(content)
    assert read_credentials(file).state == "tampered"


def test_the_workflow_stays_and_is_under_the_seal(picture, provenance):
    extra = PngImagePlugin.PngInfo()
    extra.add_text("workflow", '{"nodes": []}')
    Image.open(picture).save(picture, pnginfo=extra)
    sign_file(picture, picture.name, provenance, find_signing_key())
    assert Image.open(picture).info["workflow"] == '{"nodes": []}'
    picture.write_bytes(picture.read_bytes().replace(b'"nodes"', b'"nudes"'))
    assert read_credentials(picture).state == "tampered"


def test_a_signed_video_still_plays(video, provenance):
    sign_file(video, video.name, provenance, find_signing_key())
    with av.open(str(video)) as container:
        assert len(list(container.decode(video=0))) == 5


def test_a_file_is_signed_only_once(video, provenance):
    sign_file(video, video.name, provenance, find_signing_key())
    content = video.read_bytes()
    with pytest.raises(InputError, match=r"has Content Credentials already"):
        sign_file(video, video.name, provenance, find_signing_key())
    assert video.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\x00\x00\x20ftypisom" + b"\x00" * 5])
def test_what_is_no_video_is_neither_signed_nor_read(tmp_path, provenance, content):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    assert read_credentials(path).state in ("unreadable", "absent")
    with pytest.raises(InputError):
        sign_file(path, path.name, provenance, find_signing_key())
    assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


def test_other_kinds_of_files_are_refused(tmp_path, provenance):
    with pytest.raises(InputError, match=r"a\.txt to sign.*\.mp4"):
        sign_file(tmp_path / "a.txt", "a.txt", provenance, find_signing_key())


def test_without_the_library_nothing_is_known(video, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read_credentials(video)
    assert found.state == "unknown" and "pip install" in found.problems[0]
    assert not credentials.credentials_available()


def test_copying_the_streams_loses_the_credentials(video, provenance, tmp_path):
    """Which is why there is a watermark as well."""
    sign_file(video, video.name, provenance, find_signing_key())
    copy = tmp_path / "copy.mp4"
    with av.open(str(video)) as source, av.open(str(copy), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert read_credentials(copy).state == "absent"
