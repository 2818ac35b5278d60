"""A certificate made on this machine, in the form that C2PA demands of signers (specification 2.1, 14.5)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class LocalCertificate:
    """A signer's certificate, the authority that issued it, and the signer's key, all PEM.

    The authority's own key is forgotten at once, so that nothing else can ever be issued with it.
    """

    chain_pem: bytes
    root_pem: bytes
    key_pem: bytes = field(repr=False)


def make_local_certificate(organisation: str, valid_for: timedelta) -> LocalCertificate:
    """Make an authority and a signer of this name, with new P-256 keys.

    Args:
        organisation: what verifiers show as the signer.
        valid_for: from yesterday on.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    start = datetime.now(timezone.utc) - timedelta(days=1)
    root = _certificate(f"{organisation} authority", organisation, root_key, None, root_key, start, valid_for)
    leaf = _certificate(organisation, organisation, key, root, root_key, start, valid_for)
    root_pem, leaf_pem = (made.public_bytes(serialization.Encoding.PEM) for made in (root, leaf))
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return LocalCertificate(leaf_pem + root_pem, root_pem, key_pem)


def _certificate(
    name: str,
    organisation: str,
    key: "ec.EllipticCurvePrivateKey",
    issuer: "x509.Certificate | None",
    issuer_key: "ec.EllipticCurvePrivateKey",
    start: datetime,
    valid_for: timedelta,
) -> "x509.Certificate":
    """A certificate of `key`: an authority's if it has no issuer, else a signer's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    is_authority = issuer is None
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + valid_for)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if not is_authority:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())
