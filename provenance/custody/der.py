"""As much of DER (ITU-T X.690) as a timestamp needs beyond what libraries do."""

from collections.abc import Iterator

__all__ = ["element", "with_sorted_certificates"]

_SEQUENCE, _CONTEXT_0 = 0x30, 0xA0
_LONG_FORM, _MOST_LENGTH_BYTES = 0x80, 4

_Span = tuple[int, int, int, int]  # tag, begin, begin of the content, end


def element(tag: int, content: bytes) -> bytes:
    """One element; its content is at most 127 bytes, as in a request."""
    return bytes([tag, len(content)]) + content


def with_sorted_certificates(answer: bytes) -> bytes:
    """A TimeStampResp whose certificates lie in the order of DER.

    RFC 5652 leaves their order free, as nothing signs it; openssl and many authorities write the chain
    as they were told. The reader of tokens, though, is as strict as DER. No other byte is moved.

    Args:
        answer: Any bytes.

    Returns:
        As many bytes; the same ones, if they are not as expected or are sorted already.
    """
    try:
        spans = _certificates(answer)
        if not spans:
            return answer
        begin, end = spans[0][1], spans[-1][3]
        parts = sorted(answer[item[1] : item[3]] for item in spans)
        return answer[:begin] + b"".join(parts) + answer[end:]
    except (ValueError, IndexError):
        return answer


def _certificates(answer: bytes) -> list[_Span]:
    """TimeStampResp / timeStampToken / content / SignedData / certificates."""
    (response,) = _children(answer, 0, len(answer), _SEQUENCE)
    _, token = _children(answer, *response[2:], _SEQUENCE)
    (content,) = _children(answer, *token[2:], _CONTEXT_0)
    (signed_data,) = _children(answer, *content[2:], _SEQUENCE)
    (certificates,) = _children(answer, *signed_data[2:], _CONTEXT_0)
    return list(_elements(answer, *certificates[2:]))


def _children(data: bytes, begin: int, end: int, tag: int) -> list[_Span]:
    return [item for item in _elements(data, begin, end) if item[0] == tag]


def _elements(data: bytes, begin: int, end: int) -> Iterator[_Span]:
    """The elements that fill `data[begin:end]`; one of indefinite length is no DER."""
    while begin < end:
        tag, size, content = data[begin], data[begin + 1], begin + 2
        if size >= _LONG_FORM:
            count = size - _LONG_FORM
            if not 0 < count <= _MOST_LENGTH_BYTES:
                raise ValueError("a length that is none of DER")
            size, content = int.from_bytes(data[content : content + count]), content + count
        if content + size > end:
            raise ValueError("an element that is cut short")
        yield tag, begin, content, content + size
        begin = content + size
