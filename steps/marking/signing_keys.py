"""Keys and certificates to sign Content Credentials with: the user's own, or a local pair made here.

Every message names files and variables, never what is in them.
"""

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DependencyError, InputError
from .user_folder import keep_privately, user_folder

if TYPE_CHECKING:
    from cryptography import x509

CERTIFICATE_VARIABLE = "COMFYUI_EMO_SIGNING_CERTIFICATE"
KEY_VARIABLE = "COMFYUI_EMO_SIGNING_KEY"
PASS_PHRASE_VARIABLE = "COMFYUI_EMO_SIGNING_PASS_PHRASE"

LOCAL_ORGANISATION = "ComfyUI-EMO local certificate"
_LOCAL_YEARS = 20  # a signature without a time stamp ends with its certificate
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_DO = f"check --signing-certificate and --signing-key, or {CERTIFICATE_VARIABLE} and {KEY_VARIABLE}"


@dataclass(frozen=True)
class SigningKey:
    """What Content Credentials are signed with.

    Attributes:
        algorithm: name of the signature in C2PA, such as "ES256".
        chain_pem: the certificate and those that vouch for it, PEM.
        key_pem: the private key, PKCS 8, PEM, without a pass phrase; never shown.
        local: whether it was made here, so that nobody vouches for it.
    """

    algorithm: str
    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    local: bool


def find_signing_key(certificate: Path | None = None, key: Path | None = None) -> SigningKey:
    """The key of these files, else of the environment's, else the local one.

    Args:
        certificate: PEM file, the signer's own certificate first, then those that vouch for it.
        key: PEM file of its private key; its pass phrase is read from the environment.

    Raises:
        InputError: a key without a certificate or the other way round, files that cannot be read or do not
            belong together, a wrong pass phrase, a certificate that has expired.
        DependencyError: `cryptography` is not installed.
    """
    _need_cryptography()
    if certificate is None and key is None:
        certificate, key = _path_from(CERTIFICATE_VARIABLE), _path_from(KEY_VARIABLE)
    if certificate is None and key is None:
        return _local_key()
    if certificate is None or key is None:
        got, missing = ("key", "certificate") if certificate is None else ("certificate", "key")
        raise InputError(
            got=f"a signing {got} without a {missing}",
            allowed="both, or neither to sign with a local certificate",
            do=_DO,
        )
    pass_phrase = os.environ.get(PASS_PHRASE_VARIABLE)
    return _checked_key(
        certificate, _read(certificate), key, _read(key), pass_phrase.encode() if pass_phrase else None
    )


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as missing:
        raise DependencyError(
            got="no library `cryptography`",
            allowed="c2pa-python with what it needs",
            do="run `pip install 'c2pa-python>=0.38,<0.39'`",
        ) from missing


def _path_from(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            got=f"{path} cannot be read: {error.strerror}", allowed="a PEM file", do=_DO
        ) from error


def _checked_key(
    certificate: Path, chain_pem: bytes, key: Path, key_pem: bytes, pass_phrase: bytes | None
) -> SigningKey:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except ValueError as error:
        raise InputError(
            got=f"{certificate}, no certificate in PEM form", allowed="a chain of PEM certificates", do=_DO
        ) from error
    private = _load_private(key, key_pem, pass_phrase)
    if chain[0].public_key() != private.public_key():
        raise InputError(
            got=f"a key {key} that does not belong to the first certificate of {certificate}",
            allowed="the signer's own certificate first, then those that vouch for it",
            do=_DO,
        )
    _check_dates(certificate, chain[0])
    if len(chain) == 1 and chain[0].issuer == chain[0].subject:
        raise InputError(
            got=f"{certificate}, which vouches for itself",
            allowed="a certificate issued by an authority, as C2PA demands",
            do="leave both out to sign with a local certificate, or get one issued",
        )
    plain = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey(_algorithm(key, private), chain_pem, plain, local=False)


def _load_private(key: Path, key_pem: bytes, pass_phrase: bytes | None) -> Any:
    from cryptography.hazmat.primitives import serialization

    try:
        return serialization.load_pem_private_key(key_pem, pass_phrase)
    except TypeError as error:
        got = f"{key}, which is locked," if pass_phrase is None else f"{key}, which is not locked,"
        raise InputError(
            got=f"{got} and {'no' if pass_phrase is None else 'a'} pass phrase",
            allowed="a pass phrase for a locked key, none for an open one",
            do=f"set or unset {PASS_PHRASE_VARIABLE}",
        ) from error
    except ValueError as error:
        wrong = pass_phrase is not None
        raise InputError(
            got=f"{key}: wrong pass phrase, or a damaged key"
            if wrong
            else f"{key}, no private key in PEM form",
            allowed="a private key in PEM form and its pass phrase",
            do=f"check {PASS_PHRASE_VARIABLE}" if wrong else _DO,
        ) from error


def _check_dates(path: Path, certificate: "x509.Certificate") -> None:
    now = datetime.now(timezone.utc)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now <= end:
        raise InputError(
            got=f"{path}, a certificate that {'has expired' if now > end else 'is not valid yet'} "
            f"(valid {start:%Y-%m-%d} to {end:%Y-%m-%d})",
            allowed="a certificate that is valid today",
            do="renew the certificate, or leave it out to sign with a local one",
        )


def _algorithm(path: Path, private: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        return _CURVES[private.curve.name]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ED25519"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        return "PS256"
    raise InputError(
        got=f"{path}, a key of a kind that C2PA does not allow",
        allowed="an elliptic curve P-256, P-384 or P-521, Ed25519, or RSA with 2048 bits or more",
        do="make a key of one of these kinds and have a certificate issued for it",
    )


def local_root_path() -> Path:
    """Certificate of the local authority; it says that a file was signed here, not by whom."""
    return user_folder() / "signing" / "root.pem"


def _local_key() -> SigningKey:
    folder = local_root_path().parent
    chain, key = folder / "chain.pem", folder / "key.pem"
    try:
        if not (chain.is_file() and key.is_file() and local_root_path().is_file()):
            from .local_certificate import make_local_certificate

            made = make_local_certificate(LOCAL_ORGANISATION, timedelta(days=365 * _LOCAL_YEARS))
            for path, content in (
                (key, made.key_pem),
                (local_root_path(), made.root_pem),
                (chain, made.chain_pem),
            ):
                keep_privately(path, content)
        return SigningKey("ES256", chain.read_bytes(), key.read_bytes(), local=True)
    except OSError as error:
        raise InputError(
            got=f"no local certificate can be kept in {folder}: {error.strerror}",
            allowed="a folder of the user's that can be written to",
            do="set COMFYUI_EMO_HOME to another folder, or switch the credentials off",
        ) from error
