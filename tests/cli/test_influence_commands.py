"""`bookplate influence`: fitted, scored, ranked again and audited, from files to files."""

import json

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.provenance.influence.corpus import Corpus
from bookplate.provenance.influence.documents import _by_document
from bookplate.provenance.influence.prompts import Prompt, read_prompts, tokenised
from bookplate.provenance.influence.records import FinishedRun, read_next, read_run, refuse_mixed
from bookplate.provenance.influence.results import InfluenceScores
from bookplate.provenance.palimpsest.ngrams import WordTokenizer
from bookplate.stats import Input

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
    top, _ = json.loads(out)["share_of_top"]
    assert top["query"] == "shape"
    assert top["share"]["value"] > 0.5 > top["base_rate"]
    assert [share["query"] for share in json.loads(out)["share_of_positive"]] == [
        "shape",
        "<script>",
    ]
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
        (
            (*"score model factors queries.jsonl docs.parquet f --batch-tokens 0".split(),),
            "--batch-tokens: expected at least 1",
        ),
        (
            (
                *"score model factors queries.jsonl docs.parquet f --all --only next.parquet".split(),
            ),
            "--all, --only: give one of them",
        ),
        (
            (*"plan model --no-probe --memory 4GiB --query-length 0".split(),),
            "at least 2 tokens",
        ),
        (("plan", "model", "--no-probe", "--memory", "9" * 400), "beyond any machine"),
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


def _altered(work, file, **columns):
    pl.read_parquet(work / "docs.parquet").head(40).with_columns(**columns).write_parquet(
        work / file
    )


def test_an_id_of_two_documents_is_refused_even_if_one_was_not_chosen(fitted, in_work, work):
    row = pl.int_range(0, 40)
    _altered(work, "twice.parquet", name=row % 20)
    few = ("--top", 1, "--random", 1, "--bottom", 0)
    arguments = ("model", "factors", "queries.jsonl", "twice.parquet", "f", "--id-column", "name")
    code, _, err = in_work("score", *arguments, *few)
    assert code == 2
    assert "several documents are called" in err
    _altered(work, "unnamed.parquet", name=pl.when(row == 7).then(None).otherwise(row))
    arguments = ("model", "factors", "queries.jsonl", "unnamed.parquet", "f", "--id-column", "name")
    code, _, err = in_work("score", *arguments, "--all")
    assert code == 2
    assert "the document at row 8 has no id in column 'name'" in err


def test_a_corpus_that_changes_while_it_is_read_is_refused(fitted, in_work, work, monkeypatch):
    from bookplate.provenance.influence import running

    _altered(work, "growing.parquet")
    chosen = running._chosen

    def and_then_it_grew(*arguments):
        found = chosen(*arguments)
        pl.read_parquet(work / "docs.parquet").head(41).write_parquet(work / "growing.parquet")
        return found

    monkeypatch.setattr(running, "_chosen", and_then_it_grew)
    arguments = ("model", "factors", "queries.jsonl", "growing.parquet", "f", "--all")
    code, _, err = in_work("score", *arguments)
    assert code == 2
    assert "growing.parquet: has changed while it was read" in err
    assert not (work / "f").exists()


def test_files_of_one_name_have_digests_of_their_own(tmp_path):
    for number, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        pl.DataFrame({"text": [f"word {number}"]}).write_parquet(tmp_path / folder / "x.parquet")
    digests = Corpus(tmp_path).digests()
    assert list(digests) == ["a/x.parquet", "b/x.parquet"]
    assert len(set(digests.values())) == 2
    assert Corpus(tmp_path / "a" / "x.parquet").digests() == {"x.parquet": digests["a/x.parquet"]}


def test_documents_are_found_by_name(tmp_path):
    pl.DataFrame({
        "text": ["a b", "c d", "e f", "g h"],
        "name": [5, None, 7, 7],
        "source": ["x", None, "y", "z"],
    }).write_parquet(tmp_path / "t.parquet")
    named = Corpus(tmp_path / "t.parquet", id_column="name", tokenizer=WordTokenizer())
    assert named.positions_of({"5", "nobody"}).tolist() == [0]
    assert named.column_at(np.array([0, 1, 3]), "source") == ["x", None, "z"]
    with pytest.raises(InvalidInput, match="several documents are called '7'"):
        named.positions_of({"7"})
    with pytest.raises(InvalidInput, match="fewer documents than when it was read before"):
        named.column_at(np.array([4]), "source")
    bare = Corpus(tmp_path / "t.parquet")
    assert bare.positions_of({"3", "0", "4", "03", "x", "-1", "9" * 5_000}).tolist() == [0, 3]


def test_documents_without_a_source_are_not_said_to_come_from_none(fitted, in_work, work):
    """And of those that 'next' chose one may be too short: it is counted, and the others are scored."""
    row = pl.int_range(0, 40)
    _altered(
        work,
        "gaps.parquet",
        licence=pl.when(row == 0).then(None).otherwise(pl.col("licence")),
        text=pl.when(row == 2).then(pl.lit("a")).otherwise(pl.col("text")),
    )
    names = ["doc0", "doc1", "doc2"]
    pl.DataFrame({"id": names, "why": ["predicted"] * 3}).write_parquet(work / "three.parquet")
    arguments = (
        "model",
        "factors",
        "queries.jsonl",
        "gaps.parquet",
        "gaps",
        "--only",
        "three.parquet",
    )
    code, out, err = in_work("score", *arguments, *DOCUMENTS, "--json")
    assert code == 0, err
    assert json.loads(out)["documents_too_short"] == 1
    table = pl.read_parquet(work / "gaps" / "scores.parquet").head(2)
    assert table["document"].to_list() == ["doc0", "doc1"]
    assert table["source"].to_list() == ["", "b"]
    record = json.loads((work / "gaps" / "run.json").read_text())
    assert record["dtype"] == "float32"
    fitted_on = json.loads((work / "factors" / "factors.json").read_text())
    assert record["weights_sha256"] == fitted_on["model_sha256"]


def test_a_list_of_what_to_score_names_each_document_once(tmp_path):
    for ids in (["a", "a"], ["a", None]):
        pl.DataFrame({"id": ids, "why": ["explored"] * 2}).write_parquet(tmp_path / "next.parquet")
        with pytest.raises(InvalidInput, match="an id is missing, or there twice"):
            read_next(tmp_path / "next.parquet")


def test_runs_that_cannot_be_compared_are_not_mixed(scored, work):
    done = read_run(work / "everything")
    corpus = Corpus(work / "docs.parquet", id_column="name")
    refuse_mixed([done, done], corpus)
    for key, value in {"training_size": 61, "dtype": "bfloat16", "model": {"sha256": "0"}}.items():
        other = FinishedRun(done.table, {**done.record, key: value}, done.inputs)
        with pytest.raises(InvalidInput, match=f"differ in {key}"):
            refuse_mixed([done, other], corpus)
    with pytest.raises(InvalidInput, match="named by 'name', not 'text' and None"):
        refuse_mixed([done], Corpus(work / "docs.parquet"))
    bare = FinishedRun(
        done.table,
        {
            **done.record,
            "corpus": {"column": "text", "id_column": None, "files": {"docs.parquet": "0"}},
        },
        done.inputs,
    )
    with pytest.raises(InvalidInput, match="have only their positions for names"):
        refuse_mixed([bare], Corpus(work / "docs.parquet"))


def test_a_run_whose_record_vouches_for_half_a_table_is_refused(
    scored, work, tmp_path, monkeypatch
):
    import hashlib
    import shutil

    run = tmp_path / "run"
    shutil.copytree(work / "everything", run)
    monkeypatch.chdir(run)
    assert read_run(run.relative_to(run)).inputs[0].name == "run/run.json"
    table, record = pl.read_parquet("scores.parquet"), json.loads((run / "run.json").read_text())
    for altered in (table.head(-1), table.drop("source"), table.reverse().head(-1), table.head(0)):
        altered.write_parquet("scores.parquet")
        digest = hashlib.sha256((run / "scores.parquet").read_bytes()).hexdigest()
        (run / "run.json").write_text(json.dumps({**record, "files": {"scores.parquet": digest}}))
        with pytest.raises(InvalidInput, match=r"lack something|each query with each document"):
            read_run(run)


def test_claimed_ids_are_read_as_they_are(tmp_path):
    from bookplate.cli.influence_audit_command import _claimed_ids

    path = tmp_path / "claimed.txt"
    path.write_bytes("\ufeffa \r\n b\u2028c\n\n \nd".encode())
    assert _claimed_ids(path) == {"a ", " b\u2028c", "d"}


def test_an_audit_says_that_nobody_gave_sources(monkeypatch, capsys, tmp_path):
    from bookplate.cli.influence_audit_command import audit
    from bookplate.provenance.influence import records

    names = [f" doc{i}" for i in range(30)]
    table = pl.DataFrame({
        "query": ["q"] * 30,
        "document": names,
        "influence": [float(i % 7) for i in range(30)],
        "tokens": [10] * 30,
        "source": [""] * 30,
        "stratum": ["all"] * 30,
    })
    (tmp_path / "claimed.txt").write_text("\n".join([*names[:4], " doc4"]))
    for column, told in ((None, True), ("licence", False)):
        record = {"model": {"name": "m"}, "source_column": column}
        run = FinishedRun(table, record, (Input(name="r", sha256="0" * 64),))
        monkeypatch.setattr(records, "read_run", lambda folder, run=run: run)
        audit(tmp_path, tmp_path / "claimed.txt")
        assert ("made without --source-column" in capsys.readouterr().out) is told


def test_self_influence_that_overflows_is_refused():
    scores = InfluenceScores(
        queries=("q",),
        candidates=("a", "b"),
        pairwise=np.zeros((1, 2)),
        training_size=1,
        modules=("m",),
        self_influence=np.array([1.0, np.inf]),
    )
    with pytest.raises(InvalidInput, match="document 'b': its influence on itself is not finite"):
        _by_document(scores, ["a", "b"])


def test_each_process_has_its_own_gpu(monkeypatch):
    import torch
    from bookplate.cli import influence_options

    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert influence_options._own_device("auto") == "auto"
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert (
        influence_options._own_device("auto") == influence_options._own_device("cuda") == "cuda:1"
    )
    assert influence_options._own_device("cpu") == "cpu"
    assert taken == [1, 1]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InvalidInput, match="but 2 GPUs here"):
        influence_options._own_device("auto")
    begun = {}
    distributed = torch.distributed
    monkeypatch.setattr(
        distributed, "init_process_group", lambda backend, **_: begun.update(b=backend)
    )
    monkeypatch.setattr(distributed, "get_rank", lambda: 2)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)
    with influence_options.processes() as rank:
        assert rank == 2
    assert begun == {"b": "cpu:gloo,cuda:nccl"}  # a model on the CPU works there, too
