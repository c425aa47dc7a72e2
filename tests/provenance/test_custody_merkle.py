"""Proofs of inclusion: published vectors, the recursion of RFC 9162 as slow twin, and refusals."""

import json
from dataclasses import replace

import pytest
from bookplate.errors import InvalidInput, VerificationError
from bookplate.provenance.custody import (
    MerkleCommitment,
    commit,
    leaf_hash,
    prove,
    verify_inclusion,
)
from bookplate.provenance.custody.merkle import _join, prove_hashes
from hypothesis import given, settings
from hypothesis import strategies as st

CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in [
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    ]
]
# (index from 0, size, proof), from the tests of certificate-transparency-go, where indices start at 1.
CT_PROOFS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def path_by_definition(index, leaves):
    """RFC 9162, section 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if index < k:
        return [*path_by_definition(index, leaves[:k]), commit(leaves[k:]).root]
    return [*path_by_definition(index - k, leaves[k:]), commit(leaves[:k]).root]


@pytest.mark.parametrize(("index", "size", "proof"), CT_PROOFS)
def test_the_vectors_of_certificate_transparency(index, size, proof):
    leaves = CT_LEAVES[:size]
    assert prove(leaves, [index]) == {index: tuple(proof)}
    verify_inclusion(commit(leaves), index, leaves[index], proof)


@pytest.mark.parametrize("n", range(1, 34))
def test_all_proofs_are_the_recursive_ones_and_hold(n):
    leaves = [bytes([i]) * (i % 5) for i in range(n)]
    proofs = prove(iter(leaves), range(n))
    assert proofs == {i: tuple(path_by_definition(i, leaves)) for i in range(n)}
    for i, proof in proofs.items():
        verify_inclusion(commit(leaves), i, leaves[i], proof)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_proof_holds_for_its_leaf_its_place_and_its_hashes_alone(data):
    leaves = data.draw(st.lists(st.binary(max_size=3), min_size=1, max_size=70, unique=True))
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.integers(0, len(leaves) - 1).filter(lambda i: i != index) | st.none())
    proof = prove(leaves, [index])[index]
    commitment = commit(leaves)
    verify_inclusion(commitment, index, leaves[index], proof)
    forgeries = [
        (commitment, index, leaves[index] + b"x", proof),
        (commitment, index, leaves[index], [*proof, "0" * 64]),
        (replace(commitment, root="0" * 64), index, leaves[index], proof),
    ]
    if proof:
        forgeries.append((commitment, index, leaves[index], proof[:-1]))
        at = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes.fromhex(proof[at])
        flipped = bytes([flipped[0] ^ 1, *flipped[1:]]).hex()
        altered = [*proof[:at], flipped, *proof[at + 1 :]]
        forgeries.append((commitment, index, leaves[index], altered))
    if other is not None:
        forgeries += [
            (commitment, other, leaves[index], proof),
            (commitment, index, leaves[other], proof),
        ]
    for forged in forgeries:
        with pytest.raises(VerificationError):
            verify_inclusion(*forged)


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda c, p: (c, 5, p), "beyond the 5 leaves"),
        (lambda c, p: (c, -1, p), "beyond"),
        (lambda c, p: (c, True, p), "beyond"),
        (lambda c, p: (c, 1, p[:-1]), "a proof of 2 hashes"),
        (lambda c, p: (c, 1, [*p, p[0]]), "a proof of 4 hashes"),
        (lambda c, p: (c, 1, ["ab", *p[1:]]), "no hash of a Merkle proof"),
        (lambda c, p: (c, 1, [p[0].upper(), *p[1:]]), "no hash of a Merkle proof"),
        (lambda c, p: (c, 1, [None, *p[1:]]), "no hash of a Merkle proof"),
        (lambda c, p: (c, 2, p), "another root"),
        (lambda c, p: (MerkleCommitment(c.root, 2), 1, p), "a proof of 3 hashes"),
        (lambda c, p: (MerkleCommitment(c.root, 0), 1, p), "beyond the 0 leaves"),
        (lambda c, p: (MerkleCommitment(c.root, -3), 1, p), "cannot be to -3 leaves"),
        (lambda c, p: (MerkleCommitment(c.root, 2**70), 1, p), "cannot be to"),
        (lambda c, p: (MerkleCommitment("root", 5), 1, p), "no Merkle root"),
        (lambda c, p: (MerkleCommitment(commit([b""]).root, 5), 1, p), "another root"),
    ],
)
def test_each_forgery_is_refused_for_its_own_reason(forge, message):
    leaves = CT_LEAVES[:5]
    commitment, index, proof = forge(commit(leaves), list(prove(leaves, [1])[1]))
    with pytest.raises(VerificationError, match=message):
        verify_inclusion(commitment, index, leaves[1], proof)


def test_why_root_and_leaf_count_are_one_commitment():
    """The same proof also holds in a tree of another size, so the count must not come with the proof."""
    leaves = CT_LEAVES[:7]
    (proof,) = prove(leaves, [1]).values()
    verify_inclusion(MerkleCommitment(commit(leaves).root, 8), 1, leaves[1], proof)
    assert commit(leaves).to_bytes() != MerkleCommitment(commit(leaves).root, 8).to_bytes()


def test_what_is_stamped_names_both():
    commitment = commit(CT_LEAVES)
    assert json.loads(commitment.to_bytes()) == {
        "format": "bookplate-commitment/1",
        "leafCount": 8,
        "root": commitment.root,
    }


def test_a_node_cannot_be_proven_as_a_leaf():
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    with pytest.raises(VerificationError, match="another root"):
        verify_inclusion(MerkleCommitment(_join(left, right).hex(), 1), 0, left + right, [])


@pytest.mark.parametrize("index", [3, -1])
def test_only_what_is_there_can_be_proven(index):
    with pytest.raises(InvalidInput, match=f"leaf {index}: there are 3 leaves"):
        prove([b"a", b"b", b"c"], [0, index])
    with pytest.raises(InvalidInput):
        prove([], [0])
    assert prove([b"a"], []) == {}
    assert prove_hashes([leaf_hash(b"a")], [0]) == {0: ()}
