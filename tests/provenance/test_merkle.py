"""Merkle trees: the vectors of Certificate Transparency, and the recursion of RFC 9162 as slow twin."""

import hashlib

import pytest
from bookplate.provenance.custody import MerkleCommitment, MerkleTree, commit, leaf_hash

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
]
# Roots of the first n leaves, from the tests of certificate-transparency-go.
CT_ROOTS = [
    EMPTY,
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def by_definition(leaves):
    """RFC 9162, section 2.1.1, word for word."""
    n = len(leaves)
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < n:
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


@pytest.mark.parametrize("n", range(9))
def test_the_vectors_of_certificate_transparency(n):
    assert commit(CT_LEAVES[:n]) == MerkleCommitment(CT_ROOTS[n], n)


@pytest.mark.parametrize("n", range(41))
def test_the_one_pass_tree_is_the_recursive_one(n):
    leaves = [f"leaf {i}".encode() for i in range(n)]
    assert commit(iter(leaves)) == MerkleCommitment(by_definition(leaves).hex(), n)


@pytest.mark.parametrize("n", [2, 3, 7, 8, 13])
def test_every_leaf_its_place_and_the_count_are_bound(n):
    leaves = [bytes([i]) for i in range(n)]
    altered = [[*leaves[:i], leaves[i] + b"x", *leaves[i + 1 :]] for i in range(n)]
    swapped = [[*leaves[:i], leaves[i + 1], leaves[i], *leaves[i + 2 :]] for i in range(n - 1)]
    others = [*altered, *swapped, leaves[:-1], [*leaves, b""], [*leaves, leaves[-1]]]
    roots = {commit(other).root for other in others}
    assert len(roots) == len(others)
    assert commit(leaves).root not in roots


def test_a_node_cannot_pass_for_a_leaf():
    """Without the prefixes 00 and 01 the two trees would have one root."""
    left, right = (hashlib.sha256(b"\x00" + leaf).digest() for leaf in (b"a", b"b"))
    assert commit([b"a", b"b"]).root != commit([left + right]).root


@pytest.mark.parametrize("size", range(1, 6))
def test_leaves_may_come_bit_by_bit(size):
    """After each bit the commitment is that of the leaves so far."""
    leaves = [bytes([i]) * i for i in range(23)]
    tree = MerkleTree()
    for start in range(0, len(leaves), size):
        tree.extend(map(leaf_hash, leaves[start : start + size]))
        assert tree.commitment() == commit(leaves[: start + size])
