"""Which 32 bytes are an Ed25519 public key that somebody can have made from a secret.

OpenSSL takes any bytes. Under a key of low order, though, one signature verifies for many messages, and
several encodings of one point are several key ids. So a key must be, as libsodium's
`crypto_core_ed25519_is_valid_point` asks: canonical, on the curve, of prime order.

Notation of RFC 8032, section 5.1: p, d, L, and points (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
Nothing here is secret, so nothing here need take constant time.
"""

__all__ = ["why_no_key"]

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_L = 2**252 + 27742317777372353535851937790883648493
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]
_IDENTITY: _Point = (0, 1, 1, 0)


def why_no_key(encoded: bytes) -> str:
    """Why no honest signer has this public key; empty if one may.

    Args:
        encoded: 32 bytes.
    """
    point = _decompress(encoded)
    if point is None:
        return "not the canonical encoding of a point on the curve"
    if _is_identity(_times(8, point)):
        return "a point of low order, under which anyone can sign"
    if not _is_identity(_times(_L, point)):
        return "a point outside the subgroup of prime order"
    return ""


def _decompress(encoded: bytes) -> _Point | None:
    """RFC 8032, section 5.1.3; None for what it says fails."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == -u % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    x = x if x % 2 == sign else _P - x
    return x, y, 1, x * y % _P


def _add(a: _Point, b: _Point) -> _Point:
    """RFC 8032, section 5.1.4; complete, so it doubles too."""
    a_, b_ = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    c, d = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = b_ - a_, d - c, d + c, b_ + a_
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: _Point) -> _Point:
    product = _IDENTITY
    while factor:
        if factor & 1:
            product = _add(product, point)
        point = _add(point, point)
        factor >>= 1
    return product


def _is_identity(point: _Point) -> bool:
    return point[0] == 0 and (point[1] - point[2]) % _P == 0
