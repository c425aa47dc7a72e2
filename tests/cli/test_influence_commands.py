"""`bookplate influence`: fitted, scored, ranked again and audited, from files to files."""

import json

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.provenance.influence.corpus import Corpus
from bookplate.provenance.influence.prompts import Prompt, read_prompts, tokenised
from bookplate.provenance.palimpsest.ngrams import WordTokenizer

PROMPTS = [
    {"id": "shape", "prompt": "Returns an array of the same", "completion": " shape and type."},
    {"id": "<script>", "prompt": "", "completion": "Return the mean of the array"},
]


@pytest.fixture(scope="module")
def work(tmp_path_factory, english, tiny_model):
    """A folder with documents, queries, and the model."""
    folder = tmp_path_factory.mktemp("influence")
    texts = english[:120]
    pl.DataFrame({
        "name": [f"doc{i}" for i in range(len(texts))],
        "text": texts,
        "licence": ["a", "b"] * 60,
    }).write_parquet(folder / "docs.parquet")
    lines = "\n".join(json.dumps(prompt) for prompt in PROMPTS)
    (folder / "queries.jsonl").write_text(lines, encoding="utf-8")
    (folder / "model").symlink_to(tiny_model)
    return folder


@pytest.fixture(scope="module")
def in_work(work):
    """Runs a command in the folder: (exit code, standard output, standard error)."""
    import contextlib
    import io
    import os
    import sys

    from bookplate.cli import main

    def run(*arguments):
        out, err, before, argv = io.StringIO(), io.StringIO(), os.getcwd(), sys.argv
        sys.argv = ["bookplate", "influence", *map(str, arguments)]
        os.chdir(work)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    main()
                except SystemExit as done:
                    return done.code or 0, out.getvalue(), err.getvalue()
        finally:
            sys.argv = argv
            os.chdir(before)
        return 0, out.getvalue(), err.getvalue()

    return run


@pytest.fixture(scope="module")
def fitted(in_work):
    code, out, err = in_work(
        "fit", "model", "docs.parquet", "factors", "--sequences", 60, "--length", 64, "--json"
    )
    assert code == 0, err
    return json.loads(out)


DOCUMENTS = ("--id-column", "name", "--source-column", "licence", "--length", 64)


@pytest.fixture(scope="module")
def scored(in_work, fitted):
    arguments = ("model", "factors", "queries.jsonl", "docs.parquet")
    code, out, err = in_work(
        "score", *arguments, "everything", "--all", "--self", *DOCUMENTS, "--json"
    )
    assert code == 0, err
    return json.loads(out), err


@pytest.fixture(scope="module")
def filtered(in_work, fitted):
    arguments = ("model", "factors", "queries.jsonl", "docs.parquet")
    few = ("--top", 10, "--random", 75, "--bottom", 3, "--training-size", 60)
    code, out, err = in_work("score", *arguments, "few", *few, *DOCUMENTS)
    assert code == 0, err
    return out


def test_a_fit_says_what_it_did(fitted, work):
    assert fitted["sequences"] == 60 < fitted["sequences_in_texts"]
    assert fitted["documents"] == 120
    assert len(fitted["layers"]) == 4
    assert (work / "factors" / "factors.json").exists()


def test_scores_are_written_for_every_pair(scored, work):
    out, err = scored
    assert out["documents"] + out["documents_too_short"] == 120
    assert not out["filtered"]
    assert "60 sequences, as many as the factors were fitted on" in err
    table = pl.read_parquet(work / "everything" / "scores.parquet")
    assert table.height == 2 * out["documents"]
    assert set(table["stratum"]) == {"all"}
    assert table["self_influence"].min() > 0
    for query in out["queries"]:
        rows = table.filter(table["query"] == query["id"]).sort("influence", descending=True)
        assert [best["document"] for best in query["top"]] == rows["document"].head(5).to_list()
    for name, licence in table.select("document", "source").iter_rows():
        assert licence == ("a", "b")[int(name.removeprefix("doc")) % 2]


def test_the_page_shows_hostile_names_as_text(scored, work):
    page = (work / "everything" / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page
    assert "doc" in page
    assert page.count("<script") == 1  # our own, which sorts tables
    record = json.loads((work / "everything" / "run.json").read_text())
    assert [query["id"] for query in record["queries"]] == ["shape", "<script>"]
    assert record["training_size"] == 60


def test_a_filtered_run_scores_what_the_whole_run_does(filtered, scored, work):
    some = pl.read_parquet(work / "few" / "scores.parquet")
    every = pl.read_parquet(work / "everything" / "scores.parquet")
    assert set(some["stratum"]) >= {"top", "random", "bottom"}
    joined = some.join(every, on=["query", "document"], suffix="_all")
    assert joined.height == some.height < every.height
    scale = float(every["influence"].abs().max())
    assert joined["influence"].to_numpy() == pytest.approx(
        joined["influence_all"].to_numpy(), abs=1e-4 * scale
    )
    assert "most influential documents" in filtered
    assert "few/index.html" in filtered
    page = (work / "few" / "index.html").read_text(encoding="utf-8")
    assert "drawn at random from the" in page


def test_next_documents_are_chosen_and_scored(filtered, in_work, work):
    code, out, err = in_work(
        "next",
        "docs.parquet",
        "next.parquet",
        "--run",
        "few",
        "--n",
        10,
        "--id-column",
        "name",
        "--json",
    )
    assert code == 0, err
    chosen = json.loads(out)
    assert len(chosen["predicted"]) == 8
    assert len(chosen["explored"]) == 2
    known = set(pl.read_parquet(work / "few" / "scores.parquet")["document"])
    assert not known & {*chosen["predicted"], *chosen["explored"]}
    assert all(
        -1 <= q["low"] <= q["spearman"] <= q["high"] <= 1 for q in chosen["held_out"].values()
    )
    code, out, err = in_work(
        "score", "model", "factors", "queries.jsonl", "docs.parquet", "more", "--only", "next.parquet",
        *DOCUMENTS,
    )  # fmt: skip
    assert code == 0, err
    table = pl.read_parquet(work / "more" / "scores.parquet")
    assert set(table["document"]) == {*chosen["predicted"], *chosen["explored"]}
    assert set(table["stratum"]) == {"predicted", "explored"}
    code, out, err = in_work(
        "next", "docs.parquet", "again.parquet", "--run", "few", "--run", "more", "--n", 5, "--id-column",
        "name", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["seen"] == chosen["seen"] - 10


def test_an_audit_finds_documents_that_were_chosen_for_their_influence(scored, in_work, work):
    table = pl.read_parquet(work / "everything" / "scores.parquet")
    rows = table.filter(table["query"] == "shape").sort("influence", descending=True)
    (work / "best.txt").write_text("\n".join(rows["document"].head(25)) + "\n")
    (work / "some.txt").write_text("\n".join(rows["document"].gather_every(4)) + "\n")
    code, out, err = in_work("audit", "everything", "best.txt", "--json", "--report", "report")
    assert code == 0, err
    shape, _ = json.loads(out)["findings"]
    assert shape["log10_p_corrected"] < -3
    assert "exchangeable" in shape["finding"]["null"]
    assert [i["name"] for i in shape["finding"]["inputs"]] == [
        "everything/run.json",
        "everything/scores.parquet",
        "best.txt",
    ]
    assert (work / "report" / "report.html").exists()
    code, out, err = in_work("audit", "everything", "some.txt", "--json", "--pooled")
    assert code == 0, err
    assert json.loads(out)["p_value"] > 0.01
    code, out, err = in_work("audit", "everything", "some.txt")
    assert code == 0, err
    assert "expected" in out


def test_an_audit_needs_documents_that_nobody_chose(filtered, in_work, work):
    (work / "one.txt").write_text("doc1\n")
    code, _, err = in_work("audit", "few", "one.txt")
    assert code == 2
    assert "--all" in err


def test_altered_scores_are_refused(scored, in_work, work, tmp_path):
    import shutil

    shutil.copytree(work / "everything", tmp_path / "run")
    table = pl.read_parquet(tmp_path / "run" / "scores.parquet")
    table.with_columns(pl.col("influence") * 2).write_parquet(tmp_path / "run" / "scores.parquet")
    (work / "one.txt").write_text("doc1\n")
    code, _, err = in_work("audit", tmp_path / "run", "one.txt")
    assert code == 2
    assert "has changed since it was written" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "model", "docs.parquet", "factors"), "already exists"),
        (("fit", "model", "nothing.parquet", "f"), "nothing.parquet: no such file"),
        (("fit", "model", "docs.parquet", "f", "--text-column", "body"), "no column 'body'"),
        (("fit", "model", "docs.parquet", "f", "--modules", "*.foo"), "no linear layer"),
        (("fit", "model", "docs.parquet", "f", "--length", 500), "the model's context, got 500"),
        (("fit", "model", "docs.parquet", "f", "--blocks", 0), "blocks: expected at least 1"),
        (("fit", "model", "docs.parquet", "f", "--sequences", 0), "at least 1 sequence"),
        (("fit", "docs.parquet", "docs.parquet", "f"), "no model folder"),
        (("score", "model", "docs.parquet", "queries.jsonl", "docs.parquet", "f"), "factors.json"),
        (("score", "model", "factors", "docs.parquet", "docs.parquet", "f"), "no column 'prompt'"),
        (
            ("score", "model", "factors", "queries.jsonl", "docs.parquet", "f", "--damping", "-1"),
            "damping factor",
        ),
        (
            (
                "score",
                "model",
                "factors",
                "queries.jsonl",
                "docs.parquet",
                "f",
                "--training-size",
                0,
            ),
            "--training-size",
        ),
        (
            ("score", "model", "factors", "queries.jsonl", "docs.parquet", "f", "--top", 0),
            "k: expected at least 1",
        ),
        (
            (
                "score",
                "model",
                "factors",
                "queries.jsonl",
                "docs.parquet",
                "f",
                "--only",
                "docs.parquet",
            ),
            "expected columns id and why",
        ),
        (("audit", "factors", "queries.jsonl"), "run.json"),
        (("next", "docs.parquet", "n.parquet", "--run", "factors"), "run.json"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(arguments, message, fitted, in_work, work):
    before = sorted(work.iterdir())
    code, _, err = in_work(*arguments)
    assert code == 2, err
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(work.iterdir()) == before


def test_claimed_documents_must_have_been_scored(scored, in_work, work):
    (work / "unknown.txt").write_text("doc1\nnobody\n")
    code, _, err = in_work("audit", "everything", "unknown.txt")
    assert code == 2
    assert "1 of 2 ids were not scored, e.g. 'nobody'" in err
    (work / "empty.txt").write_text("\n")
    assert "names no document" in in_work("audit", "everything", "empty.txt")[2]


def test_factors_of_another_model_are_refused(fitted, in_work, other_model):
    code, _, err = in_work("score", other_model, "factors", "queries.jsonl", "docs.parquet", "f")
    assert code == 2
    assert "another model" in err


def test_completions_are_scored_and_prompts_are_not(tokenizer):
    asked = tokenised(
        [Prompt("a", "Returns an", " array"), Prompt("b", "", "Returns an array")], tokenizer
    )
    for query, prompt, completion in zip(
        asked, ("Returns an", ""), (" array", "Returns an array"), strict=True
    ):
        assert tokenizer.decode(query.tokens) == prompt + completion
        assert query.first_scored >= 1
    assert tokenizer.decode(asked[0].tokens[: asked[0].first_scored]) == "Returns an"
    assert asked[1].first_scored == 1
    with pytest.raises(InvalidInput, match="leaves no token to score"):
        tokenised([Prompt("c", "", "a")], tokenizer)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a"}], "no column 'completion'"),
        ([{"prompt": "a", "completion": ""}], "row 1: expected a prompt and a completion"),
        ([{"prompt": "a", "completion": 3}], "row 1: expected a prompt and a completion"),
        ([{"id": 1, "prompt": "a", "completion": "b"}] * 2, "two queries are called '1'"),
    ],
)
def test_bad_queries_are_refused(rows, message, tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InvalidInput, match=message):
        read_prompts(path)


def test_queries_without_ids_are_called_by_their_rows(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text('{"prompt": null, "completion": "x y"}\n{"prompt": "a", "completion": "b"}')
    assert read_prompts(path) == (Prompt("1", "", "x y"), Prompt("2", "a", "b"))


def test_sequences_are_drawn_alike(tmp_path):
    texts = ["a b c d e", "one", "", "f g h i j k l"]
    pl.DataFrame({"text": texts}).write_parquet(tmp_path / "t.parquet")
    corpus = Corpus(tmp_path / "t.parquet", tokenizer=WordTokenizer())
    whole = corpus.draw(100, 2, seed=0)
    assert (whole.n_all, whole.n_documents, whole.n_short) == (5, 4, 2)
    assert [s.id for s in whole.sequences] == ["0", "0", "3", "3", "3"]
    counts = np.zeros(5)
    for seed in range(600):
        for sequence in corpus.draw(2, 2, seed=seed).sequences:
            counts[whole.sequences.index(sequence)] += 1
    assert counts.sum() == 1200
    assert counts == pytest.approx(np.full(5, 240), abs=60)  # five standard deviations
