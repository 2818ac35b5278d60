"""Content Credentials (C2PA) in mp4 and png files: the only file that knows the library c2pa.

The manifest says by whom and with what a file was made. It holds hashes of the portrait and the voice, never
what they show or say.
"""

import json
import os
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...errors import DependencyError, InputError
from ..pack_version import pack_version
from .signing_keys import SigningKey, local_root_path

GENERATOR = "ComfyUI-EMO"
GENERATION_LABEL = "org.comfyui-emo.generation"
WATERMARK_ALGORITHM = "org.comfyui-emo.watermark.1"
SYNTHETIC_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MEDIA_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".png": "image/png"}

# While it signs, the library holds copies of a file in memory up to a size, and what it hashes at once; both
# are hundreds of MB by themselves, more than all the rest of a run. Parts of a video are hashed one by one.
_CORE = {"backing_store_memory_threshold_in_mb": 8, "merkle_tree_chunk_size_in_kb": 1024}

# Failures that say that something was changed after signing, by the codes of the C2PA specification.
_TAMPERED = re.compile(
    r"[hH]ash\.(mismatch|malformed)|hashedURI\.mismatch|claimSignature\.mismatch|\.missing$"
)


@dataclass(frozen=True)
class Provenance:
    """How a file was made.

    Attributes:
        model_name, model_sha256: of the model's file; of several, over their names and hashes.
        portrait_sha256, voice_sha256: of the pixels and the samples that went in; empty where none did.
        payload: of the watermark in the pixels; None without one.
        consent: the user's own words on the consent of those who are seen and heard; may be empty.
    """

    model_name: str
    model_sha256: str
    portrait_sha256: str
    voice_sha256: str
    payload: int | None
    consent: str = ""


@dataclass(frozen=True)
class Credentials:
    """What the Content Credentials of a file say, and whether they hold.

    Attributes:
        state: "absent"; "trusted" and "valid" if nothing was changed since signing, by a signer that the
            given authorities vouch for or not; "tampered" if something was; "invalid" if the credentials
            break the rules in another way, such as an expired certificate; "unreadable"; "unknown" without
            the library.
        signer: name in the signer's certificate.
        signed_here: whether that is the local certificate of this machine's user.
        generator: the program that made the claim.
        synthetic: whether they say that the content is made by a trained model.
        created: when, as the claim says it.
        generation: this project's own statement: model, hashes, consent.
        payload: of the watermark that belongs to the file, in hexadecimal; None if the claim names none.
        problems: codes of the C2PA specification, or a reader's words.
    """

    state: str
    signer: str = ""
    signed_here: bool = False
    generator: str = ""
    synthetic: bool = False
    created: str = ""
    generation: dict[str, Any] = field(default_factory=dict)
    payload: str | None = None
    problems: tuple[str, ...] = ()


def credentials_available() -> bool:
    """Whether the library is installed."""
    try:
        _library()
    except DependencyError:
        return False
    return True


def _library() -> Any:
    try:
        import c2pa
    except ImportError as missing:
        raise DependencyError(
            got="no library c2pa-python, which writes and reads Content Credentials",
            allowed="c2pa-python 0.38",
            do="run `pip install 'c2pa-python>=0.38,<0.39'`",
        ) from missing
    return c2pa


def sign_file(path: Path, title: str, provenance: Provenance, key: SigningKey) -> bytes:
    """Sign an mp4 or png file, in its place; gives the signed manifest, for keeping beside a record.

    Args:
        path: the file; after an exception it is as it was.
        title: the name that the file is going to have, whose ending says what it is.
        provenance: what the manifest says.
        key: signs it.

    Raises:
        DependencyError: the library is not installed.
        InputError: the file is of another kind, has credentials already, cannot be read, or the certificate
            cannot be used.
        OSError: there is no room for the signed file.
    """
    c2pa = _library()
    media_type = _media_type(title)
    check_unsigned(path, media_type)
    settings = {"builder": {"thumbnail": {"enabled": False}}, "core": _CORE}
    info = c2pa.C2paSignerInfo(getattr(c2pa.C2paSigningAlg, key.algorithm), key.chain_pem, key.key_pem, None)
    signed = path.with_name(f"{path.name}.signed")
    try:
        builder = c2pa.Builder(_manifest(title, provenance), context=_context(c2pa, settings))
        with open(path, "rb") as source, open(signed, "w+b") as target:
            manifest = builder.sign(c2pa.Signer.from_info(info), media_type, source, target)
        os.replace(signed, path)
    except c2pa.C2paError as error:
        raise InputError(
            got=f"Content Credentials that cannot be signed: {error}",
            allowed="a whole mp4 or png file, and a certificate for signing e-mail (its extended key "
            "usage), issued by an authority",
            do="sign with another certificate, or with none to use a local one",
        ) from error
    finally:
        signed.unlink(missing_ok=True)
    return manifest


def _media_type(title: str) -> str:
    suffix = Path(title).suffix.lower()
    if suffix not in MEDIA_TYPES:
        raise InputError(
            got=f"{title} to sign", allowed=f"a file ending in {', '.join(MEDIA_TYPES)}", do="rename the file"
        )
    return MEDIA_TYPES[suffix]


def _context(c2pa: Any, settings: dict[str, Any]) -> Any:
    return c2pa.Context(settings=c2pa.Settings.from_dict(settings))


def check_unsigned(path: Path, media_type: str = "image/png") -> None:
    """Raise InputError for a file that has credentials already, or cannot be read.

    Raises:
        DependencyError: the library is not installed.
    """
    c2pa = _library()
    try:
        with open(path, "rb") as file:
            c2pa.Reader(media_type, file)
    except c2pa.C2paError.ManifestNotFound:
        return
    except c2pa.C2paError as error:
        raise InputError(
            got=f"{path}: {error}", allowed="a whole mp4 or png file", do="write the file again"
        ) from error
    raise InputError(
        got=f"{path}, which has Content Credentials already",
        allowed="a file without them: a second signature would say that it was made twice",
        do="look at them with `comfyui-emo verify`, or sign the file that was there before",
    )


def _manifest(title: str, provenance: Provenance) -> dict[str, Any]:
    agent = {"name": GENERATOR, "version": pack_version()}
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    action = {
        "action": "c2pa.created",
        "when": now,
        "digitalSourceType": SYNTHETIC_SOURCE,
        "softwareAgent": agent,
    }
    generation = {
        "created": now,
        "model": {"name": provenance.model_name, "sha256": provenance.model_sha256},
        "portrait": {"sha256": provenance.portrait_sha256},
        "voice": {"sha256": provenance.voice_sha256},
        "consent": provenance.consent,
    }
    assertions = [
        {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
        {"label": GENERATION_LABEL, "data": generation},
    ]
    if provenance.payload is not None:
        binding = {"scope": {}, "value": f"{provenance.payload:08x}"}
        data = {"alg": WATERMARK_ALGORITHM, "blocks": [binding]}
        assertions.append({"label": "c2pa.soft-binding", "data": data})
    inputs = {"portrait": provenance.portrait_sha256, "voice": provenance.voice_sha256}
    return {
        "title": title,
        "claim_generator_info": [agent],
        "ingredients": [
            {
                "title": name,
                "format": "application/octet-stream",
                "instance_id": f"urn:sha256:{digest}",
                "relationship": "inputTo",
            }
            for name, digest in inputs.items()
            if digest
        ],
        "assertions": assertions,
    }


def read_credentials(path: Path, authorities_pem: str = "") -> Credentials:
    """What a file's credentials say; never raises for what is in the file.

    Args:
        path: any file.
        authorities_pem: certificates of the authorities to trust; without, nobody is trusted.
    """
    try:
        c2pa = _library()
    except DependencyError as missing:
        return Credentials("unknown", problems=(f"{missing.got}: {missing.do}",))
    settings: dict[str, Any] = {"verify": {"verify_trust": True}}
    if authorities_pem:
        settings["trust"] = {"trust_anchors": authorities_pem}
    try:
        with open(path, "rb") as file:
            reader = c2pa.Reader(
                MEDIA_TYPES.get(path.suffix.lower(), ""), file, context=_context(c2pa, settings)
            )
            report = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return Credentials("absent")
    except (c2pa.C2paError, OSError, ValueError) as error:
        return Credentials("unreadable", problems=(str(error),))
    return _as_credentials(report)


def _as_credentials(report: dict[str, Any]) -> Credentials:
    manifest = report.get("manifests", {}).get(report.get("active_manifest"), {})
    statements = {entry["label"]: entry.get("data", {}) for entry in manifest.get("assertions", [])}
    actions = next(
        (statements[name]["actions"] for name in statements if name.startswith("c2pa.actions")), []
    )
    generators = manifest.get("claim_generator_info") or [{}]
    binding = statements.get("c2pa.soft-binding", {})
    ours = binding.get("alg") == WATERMARK_ALGORITHM
    signature = manifest.get("signature_info", {})
    failures = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    problems = tuple(dict.fromkeys(failure["code"] for failure in failures))
    return Credentials(
        _state(report.get("validation_state", "Invalid"), problems),
        signer=signature.get("common_name") or signature.get("issuer") or "",
        signed_here=_is_local(signature.get("cert_serial_number", "")),
        generator=" ".join(str(generators[0].get(name, "")) for name in ("name", "version")).strip(),
        synthetic=any(action.get("digitalSourceType") == SYNTHETIC_SOURCE for action in actions),
        created=next((action["when"] for action in actions if "when" in action), signature.get("time", "")),
        generation=statements.get(GENERATION_LABEL, {}),
        payload=binding["blocks"][0]["value"] if ours and binding.get("blocks") else None,
        problems=problems,
    )


def _state(validation: str, problems: tuple[str, ...]) -> str:
    if validation in ("Trusted", "Valid"):
        return validation.lower()
    return "tampered" if any(_TAMPERED.search(code) for code in problems) else "invalid"


def _is_local(serial_number: str) -> bool:
    """Whether a certificate is the one that was made on this machine."""
    chain = local_root_path().with_name("chain.pem")
    if not chain.is_file():
        return False
    from cryptography import x509

    return str(x509.load_pem_x509_certificates(chain.read_bytes())[0].serial_number) == serial_number
