"""A timestamp authority for tests: certificates by `cryptography`, answers by the openssl command."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_SHA256 = bytes.fromhex("300d06096086480165030402010500")


class Certified:
    """A certificate and its key."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)


def certified(name, issuer=None, *, authority=False, usage=None, begin=-1, end=365, **options):
    """A new certificate; `begin` and `end` in days from now, `usage` as (list, critical)."""
    key = options.get("key") or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509
        .CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(options.get("serial") or x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begin))
        .not_valid_after(now + timedelta(days=end))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage[0]), critical=usage[1])
    signed = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Certified(signed, key)


def openssl(folder: Path, *arguments):
    """Run openssl in a folder."""
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def laid_out(folder: Path, signer, chain=()):
    """Write what openssl needs to sign as this signer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tsa.pem").write_bytes(signer.pem)
    (folder / "chain.pem").write_bytes(b"".join(item.pem for item in chain))
    (folder / "tsa.key").write_bytes(
        signer.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


def answer_of_openssl(folder: Path, request: bytes, *, accuracy="accuracy = secs:1, millisecs:500"):
    """What `openssl ts -reply` answers."""
    chain = "certs = chain.pem" if (folder / "chain.pem").stat().st_size else ""
    (folder / "tsa.cnf").write_text(
        "[tsa]\nserial = serial\nsigner_cert = tsa.pem\nsigner_key = tsa.key\n"
        f"signer_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256, sha512\n{chain}\n{accuracy}\n"
    )
    (folder / "request.tsq").write_bytes(request)
    openssl(
        folder,
        *("ts", "-reply", "-config", "tsa.cnf", "-section", "tsa"),
        *("-queryfile", "request.tsq", "-out", "answer.tsr"),
    )
    return (folder / "answer.tsr").read_bytes()


def der(tag, *parts):
    """One DER element."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(value):
    """DER of a non-negative INTEGER."""
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def forged_answer(folder: Path, digest: bytes, *, nonce=1, when=None, status=0, extra=()):
    """An answer that openssl would not give: any time, any certificate; signed all the same."""
    when = (when or datetime.now(UTC)).strftime("%Y%m%d%H%M%SZ").encode()
    policy = bytes.fromhex("06042a030401")
    imprint = der(0x30, _SHA256, der(0x04, digest))
    info = der(0x30, integer(1), policy, imprint, integer(5), der(0x18, when), integer(nonce))
    (folder / "info.der").write_bytes(info)
    (folder / "extra.pem").write_bytes(b"".join(item.pem for item in extra))
    openssl(
        folder,
        *("cms", "-sign", "-binary", "-nodetach", "-md", "sha256", "-outform", "DER"),
        *("-econtent_type", _TST_INFO, "-in", "info.der", "-out", "token.der"),
        *("-signer", "tsa.pem", "-inkey", "tsa.key"),
        *(("-certfile", "extra.pem") if extra else ()),
    )
    return der(0x30, der(0x30, integer(status)), (folder / "token.der").read_bytes())
