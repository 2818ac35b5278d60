"""Keys to sign with: one's own, and the local one."""

import logging
import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from comfyui_emo.errors import InputError
from comfyui_emo.steps.marking import signing_keys
from comfyui_emo.steps.marking.signing_keys import find_signing_key


def locked(path, pass_phrase: bytes):
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(pass_phrase),
        )
    )


def test_ones_own_key_is_used(certificate):
    own = certificate()
    key = find_signing_key(own.chain, own.key)
    assert (key.algorithm, key.local) == ("ES256", False)
    assert key.chain_pem == own.chain.read_bytes()


def test_the_environment_names_a_key(certificate, monkeypatch):
    own = certificate()
    monkeypatch.setenv(signing_keys.CERTIFICATE_VARIABLE, str(own.chain))
    monkeypatch.setenv(signing_keys.KEY_VARIABLE, str(own.key))
    assert not find_signing_key().local


def test_a_locked_key_is_opened_by_the_environments_pass_phrase(certificate, monkeypatch):
    own = certificate()
    locked(own.key, b"open sesame")
    with pytest.raises(InputError, match=r"locked, and no pass phrase"):
        find_signing_key(own.chain, own.key)
    monkeypatch.setenv(signing_keys.PASS_PHRASE_VARIABLE, "wrong")
    with pytest.raises(InputError, match=r"wrong pass phrase") as refused:
        find_signing_key(own.chain, own.key)
    monkeypatch.setenv(signing_keys.PASS_PHRASE_VARIABLE, "open sesame")
    assert b"ENCRYPTED" not in find_signing_key(own.chain, own.key).key_pem
    assert "sesame" not in str(refused.value)


def test_a_pass_phrase_for_an_open_key_is_refused(certificate, monkeypatch):
    own = certificate()
    monkeypatch.setenv(signing_keys.PASS_PHRASE_VARIABLE, "needless")
    with pytest.raises(InputError, match=r"not locked, and a pass phrase"):
        find_signing_key(own.chain, own.key)


@pytest.mark.parametrize(("given", "missing"), [("key", "certificate"), ("certificate", "key")])
def test_half_a_pair_is_refused(certificate, given, missing):
    own = certificate()
    pair = (own.chain, None) if given == "certificate" else (None, own.key)
    with pytest.raises(InputError, match=f"a signing {given} without a {missing}"):
        find_signing_key(*pair)


def test_an_expired_certificate_is_refused(certificate):
    own = certificate(days=0.5)
    with pytest.raises(InputError, match=r"has expired"):
        find_signing_key(own.chain, own.key)


def test_a_key_of_another_certificate_is_refused(certificate):
    with pytest.raises(InputError, match=r"does not belong to the first certificate"):
        find_signing_key(certificate("A").chain, certificate("B").key)


def test_files_that_are_no_pem(certificate, tmp_path):
    own = certificate()
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match=r"no certificate in PEM form"):
        find_signing_key(tmp_path / "text", own.key)
    with pytest.raises(InputError, match=r"no private key in PEM form"):
        find_signing_key(own.chain, tmp_path / "text")
    with pytest.raises(InputError, match=r"cannot be read"):
        find_signing_key(own.chain, tmp_path / "none")


def test_a_certificate_that_vouches_for_itself_is_refused(certificate):
    own = certificate()
    with pytest.raises(InputError, match=r"does not belong|vouches for itself"):
        find_signing_key(own.root, own.key)


def test_kinds_of_keys(tmp_path):
    path = tmp_path / "key.pem"
    assert signing_keys._algorithm(path, ec.generate_private_key(ec.SECP384R1())) == "ES384"
    assert signing_keys._algorithm(path, ed25519.Ed25519PrivateKey.generate()) == "ED25519"
    with pytest.raises(InputError, match=r"does not allow.*RSA with 2048 bits or more"):
        signing_keys._algorithm(path, rsa.generate_private_key(65537, 1024))


def test_the_local_key_is_made_once_and_only_its_owner_may_read_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("COMFYUI_EMO_HOME", str(tmp_path / "own"))
    with caplog.at_level(logging.DEBUG):
        key = find_signing_key()
    assert key.local and find_signing_key().chain_pem == key.chain_pem
    files = list((tmp_path / "own" / "signing").iterdir())
    assert sorted(file.name for file in files) == ["chain.pem", "key.pem", "root.pem"]
    assert os.name == "nt" or {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert "PRIVATE" not in caplog.text and "PRIVATE" not in repr(key)


def test_a_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COMFYUI_EMO_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"no local certificate can be kept in .*COMFYUI_EMO_HOME"):
        find_signing_key()
