"""Running an audit: every test has an outcome, none is made twice, and nothing goes missing in silence.

Suspects are recorded losses of made-up sequences, so that no model is opened.
"""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from bookplate.cli.audit import running
from bookplate.cli.audit.keeping import Kept, WorkFolder
from bookplate.cli.audit.kinds.remembered import Remembered
from bookplate.cli.audit.progress import Progress, progress_of
from bookplate.cli.audit.registering import Registered
from bookplate.cli.audit.running import Job
from bookplate.cli.audit.running import run as run_job
from bookplate.errors import InvalidInput, VerificationError
from bookplate.files import Interrupted
from bookplate.provenance.custody import TimestampRequest
from bookplate.provenance.custody import log as custody
from bookplate.provenance.suspect import ChoiceSlot
from bookplate.stats import disagreements

AUDIT = """\
format: bookplate-audit/1
report_id: R-1
title: Audit
alpha: 0.01
transcripts:
  mine: {path: order.parquet}
models:
  guilty: {model: answers.parquet#loss_guilty, role: suspect}
  missing: {model: ./nothing, role: suspect}
  clean: {model: answers.parquet#loss_clean, role: suspect}
  old: {model: answers.parquet#loss_old, role: innocent}
  made: {model: answers.parquet#loss_made, role: positive}
  gone: {model: gone.parquet, role: innocent}
tests:
  order: {kind: order, transcript: mine, innocent: [old, gone], positive: [made]}
  steps: {kind: order-sequential, transcript: mine, suspects: [guilty, clean]}
"""
COMPLETE = (  # nothing that it names is missing
    AUDIT
    .replace("  missing: {model: ./nothing, role: suspect}\n", "")
    .replace("  gone: {model: gone.parquet, role: innocent}\n", "")
    .replace("[old, gone]", "[old]")
)
N = 60


def make_files(folder, *, order=None):
    rng = np.random.default_rng(7)
    steps = rng.permutation(N) if order is None else order
    tokens = [rng.integers(0, 500, 12).tolist() for _ in range(N)]
    pl.DataFrame(
        {"step": steps, "tokens": tokens}, schema_overrides={"step": pl.Int64}
    ).write_parquet(folder / "order.parquet")
    noise = {f"loss_{name}": rng.normal(3, 0.1, N) for name in ("clean", "old")}
    signal = {
        f"loss_{name}": 3 - 0.02 * steps + rng.normal(0, 0.1, N) for name in ("guilty", "made")
    }
    pl.DataFrame({"tokens": tokens, **noise, **signal}).write_parquet(folder / "answers.parquet")


@pytest.fixture
def job(tmp_path):
    """Called with the file's text, it gives what is to be run."""
    make_files(tmp_path)

    def job(text=AUDIT, **options):
        path = tmp_path / "audit.yaml"
        path.write_text(text)
        return Job(
            registered=Registered.read(path),
            work=tmp_path / "audit.yaml.work",
            log=tmp_path / "custody.jsonl",
            who="tester",
            **options,
        )

    return job


def said(job):
    return [entry.details["what"] for entry in custody.verify(job.log).entries]


def test_every_registered_test_has_an_outcome(job):
    todo = job()
    outcomes = {outcome.test: outcome for outcome in run_job(todo)}
    assert list(outcomes) == [pair.id for pair in todo.registered.pairs]
    found = outcomes["order.guilty"]
    assert found.finding.log10_p < -4
    assert found.finding.name == "palimpsest query (likelihood) (order)"
    assert found.finding.seed == todo.registered.pairs[0].seed
    assert {item.name for item in found.examined} == {"guilty", "mine"}
    assert outcomes["order.clean"].finding.log10_p > -2
    missing = outcomes["order.missing"]
    assert missing.finding is None
    assert "no such folder" in missing.reason
    for outcome in outcomes.values():
        assert (outcome.finding is None) == bool(outcome.reason)
        assert outcome.started <= outcome.finished
        if outcome.finding is not None:
            assert not disagreements(outcome.finding, outcome.finding.working.repeat()).core


def test_controls_give_p_values_and_say_where_they_do_not(job):
    first, *rest = run_job(job())
    assert list(first.controls) == ["old"]
    assert list(first.positives) == ["made"]
    assert first.positives["made"].p_value < 1e-3 < first.controls["old"].p_value
    assert list(first.failed_controls) == ["gone"]
    assert rest[1].controls == first.controls  # of the same test, for every suspect
    assert rest[-1].controls == {}


def test_the_log_says_who_did_what(job):
    todo = job()
    run_job(todo)
    entries = custody.verify(todo.log).entries
    assert {entry.action for entry in entries} == {"identification", "acquisition", "analysis"}
    assert {entry.who for entry in entries} == {"tester"}
    assert all(entry.details["audit"] == todo.registered.pre_registration for entry in entries)
    told = said(todo)
    assert told[:2] == ["audit file registered", "audit run began"]
    for pair in (*todo.registered.pairs, *todo.registered.controls):
        begun, ended = f"test {pair.id} began", f"test {pair.id} ended"
        assert told.index(begun) < next(i for i, what in enumerate(told) if what.startswith(ended))
    assert told.count("guilty opened for examination") == 1


def test_no_finding_is_made_twice(job, monkeypatch):
    todo = job()
    first = run_job(todo)
    monkeypatch.setattr(running, "tested", refuse)
    second = run_job(todo)
    assert second == first
    assert [o.finding.working.columns.keys() for o in second if o.finding] == [
        o.finding.working.columns.keys() for o in first if o.finding
    ]
    assert said(todo)[-1] == "audit run began"


def refuse(pair, materials):
    raise AssertionError(f"{pair.id} was run again")


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_a_run_that_was_stopped_goes_on(job, monkeypatch, stop):
    todo, run_one = job(), running.tested
    ran = []

    def stopping(pair, materials):
        if len(ran) == 2:
            raise stop
        ran.append(pair.id)
        return run_one(pair, materials)

    monkeypatch.setattr(running, "tested", stopping)
    with pytest.raises(Interrupted if stop is KeyboardInterrupt else SystemExit):
        run_job(todo)
    before = list(ran)
    monkeypatch.setattr(running, "tested", lambda pair, m: ran.append(pair.id) or run_one(pair, m))
    outcomes = run_job(todo)
    assert len(outcomes) == 5
    assert ran[:2] == before
    assert len(ran) == len(set(ran)) == len((*todo.registered.pairs, *todo.registered.controls))
    if stop is KeyboardInterrupt:
        assert "stopped by hand" in said(todo)


def test_a_clock_that_was_set_back_stops_it_before_a_bundle_is_made(job, monkeypatch):
    """Whoever verified the bundle would read that it is older than its registration."""
    todo = job()
    due = run_job(todo)
    with monkeypatch.context() as patch:
        patch.setattr(running, "now", lambda: "2020-01-01T00:00:00Z")
        with pytest.raises(Interrupted, match="the clock of this machine says 2020"):
            run_job(todo)
    assert run_job(todo) == due


def test_failures_are_tried_again_only_if_asked(job, tmp_path):
    once = job()
    assert run_job(once)[1].reason
    shutil.copytree(tmp_path, tmp_path / "nothing", ignore=lambda *_: ["nothing"])
    kept = once.work / "results" / "order.missing" / "outcome.json"
    before = kept.read_bytes()
    assert run_job(job())[1].reason
    assert kept.read_bytes() == before
    again = run_job(job(retry=True))[1]
    assert again.reason != json.loads(before)["reason"]
    told = said(once)
    assert told.count("test order.missing began") == 2
    assert "test order.missing is tried again" in told
    assert not any(what == "test order.guilty is tried again" for what in told)
    assert (once.work / "attempts" / "order.missing@1" / "outcome.json").read_bytes() == before
    run_job(job())  # and what was set aside is not missed


def test_another_file_is_refused(job):
    run_job(job())
    with pytest.raises(InvalidInput, match="the audit file is no longer the one registered"):
        run_job(job(AUDIT.replace("0.01", "0.05")))


def test_what_was_kept_cannot_be_changed(job):
    todo = job()
    run_job(todo)
    outcome = todo.work / "results" / "order.clean" / "outcome.json"
    good = outcome.read_bytes()
    outcome.write_bytes(good.replace(b'"log10_p": -', b'"log10_p": -9'))
    with pytest.raises(VerificationError, match=r"order\.clean: is not the outcome that was kept"):
        run_job(todo)
    outcome.write_bytes(good)
    exhibit = outcome.with_name("exhibit.parquet")
    exhibit.write_bytes(exhibit.read_bytes()[:-1] + b"x")
    with pytest.raises(VerificationError, match="is not the outcome that was kept"):
        run_job(todo)


def test_what_was_kept_cannot_go_missing(job):
    """Else a result that does not suit could be removed, and the test be run again on other data."""
    todo = job()
    run_job(todo)
    shutil.rmtree(todo.work / "results" / "order.clean")
    (todo.work / "attempts" / "order.clean@1").mkdir()
    with pytest.raises(VerificationError, match=r"the outcome of order\.clean is gone"):
        run_job(todo)


def test_an_outcome_that_the_log_does_not_know_yet_is_entered(job):
    todo = job()
    run_job(todo)
    lines = todo.log.read_bytes().splitlines(keepends=True)
    todo.log.write_bytes(b"".join(lines[:-1]))  # killed between keeping it and saying so
    run_job(todo)
    assert (
        sum(
            what.startswith("test order.made ended") or what.startswith("test order.gone ended")
            for what in said(todo)
        )
        == 2
    )


def test_digests_are_held_to(job, tmp_path):
    wrong = AUDIT.replace("order.parquet}", f"order.parquet, sha256: {'0' * 64}}}")
    outcomes = run_job(job(wrong))
    assert all(
        "not the 0000" in outcome.reason for outcome in outcomes if "missing" not in outcome.test
    )


def test_a_file_that_changes_between_runs_is_refused(job, tmp_path, monkeypatch):
    todo, run_one = job(), running.tested
    monkeypatch.setattr(running, "tested", stopping_after(1, run_one))
    with pytest.raises(Interrupted):
        run_job(todo)
    make_files(tmp_path, order=np.random.default_rng(8).permutation(N))
    monkeypatch.setattr(running, "tested", run_one)
    outcomes = run_job(todo)
    assert outcomes[0].finding is not None
    assert all("has changed since it was first opened" in o.reason for o in outcomes[2:])


def stopping_after(n, run_one):
    ran = []

    def stopping(pair, materials):
        ran.append(pair)
        if len(ran) > n:
            raise KeyboardInterrupt
        return run_one(pair, materials)

    return stopping


def test_the_claimants_own_files_must_be_there(job, tmp_path):
    todo = job()
    (tmp_path / "order.parquet").unlink()
    with pytest.raises(
        InvalidInput, match=r"audit\.yaml, line 6: .*order\.parquet: there is no such"
    ):
        run_job(todo)


def test_an_order_that_follows_the_content_fails_by_rule(tmp_path, job):
    todo = job()
    rng = np.random.default_rng(1)
    tokens = [rng.integers(0, 500, 5 + n).tolist() for n in range(N)]
    pl.DataFrame({"step": range(N), "tokens": tokens}).write_parquet(tmp_path / "order.parquet")
    names = ("guilty", "clean", "old", "made")
    losses = {f"loss_{name}": rng.normal(3, 0.1, N) for name in names}
    pl.DataFrame({"tokens": tokens, **losses}).write_parquet(tmp_path / "answers.parquet")
    found = {outcome.test: outcome for outcome in run_job(todo)}
    for name in ("order.guilty", "order.clean", "steps.guilty"):
        assert found[name].finding is not None
        assert "THE ORDER IS NOT RANDOM" in found[name].failed_assumption
    assert found["order.guilty"].controls == {}
    assert "THE ORDER IS NOT RANDOM" in found["order.guilty"].failed_controls["old"]
    assert run_job(todo)[0].failed_assumption == found["order.guilty"].failed_assumption


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no room"),
        ValueError("<b>\x1b[31m\n\u202e"),
        OSError(28, "No space left"),
        RecursionError(),
    ],
    ids=repr,
)
def test_no_failure_of_a_test_stops_the_others(job, monkeypatch, error):
    run_one = running.tested

    def failing(pair, materials):
        if pair.subject == "guilty":
            raise error
        return run_one(pair, materials)

    monkeypatch.setattr(running, "tested", failing)
    outcomes = run_job(job())
    assert outcomes[0].reason
    assert not re.search(r"[\x00-\x1f\u202e]", outcomes[0].reason)
    assert outcomes[2].finding is not None


def test_a_finding_in_another_direction_is_none(job, monkeypatch):
    run_one = running.tested

    def turned(pair, materials):
        found = run_one(pair, materials)
        return replace(found, finding=found.finding.about(alternative="less"))

    monkeypatch.setattr(running, "tested", turned)
    assert "looked in another direction" in run_job(job())[0].reason


def test_hours_are_a_budget_of_the_whole_audit(job):
    outcomes = run_job(job(AUDIT + "budget: {hours: 1.0e-9}\n"))
    assert outcomes[0].finding is not None  # it had begun before they were spent
    assert all("the budget of 1e-09 hours was spent" in outcome.reason for outcome in outcomes[1:])


def test_requests_are_a_budget_of_the_whole_audit(job, monkeypatch):
    seen, run_one = [], running.tested

    def asking(pair, materials):
        materials.budget.settle(materials.budget.take(10), 7)
        seen.append((materials.budget.queries, materials.budget.tokens))
        return run_one(pair, materials)

    todo = job(AUDIT + "budget: {max_queries: 3}\n")
    monkeypatch.setattr(running, "tested", stopping_after(2, asking))
    with pytest.raises(Interrupted):
        run_job(todo)
    monkeypatch.setattr(running, "tested", asking)
    outcomes = run_job(todo)
    assert seen == [(1, 7), (2, 14), (3, 21)]
    spent = [o.test for o in outcomes if "the budget of 3 queries is spent" in o.reason]
    assert spent == ["order.clean", "steps.clean"]
    assert json.loads((todo.work / "spent.json").read_text())["queries"] == 3


def test_what_a_killed_run_left_half_written_is_removed(job):
    todo = job()
    half = todo.work / "results" / ".bookplate-half"
    half.mkdir(parents=True)
    (half / "outcome.json").write_text("{")
    assert len(run_job(todo)) == 5
    assert not half.exists()


LEAK = """\
format: bookplate-audit/1
report_id: R-1
title: Audit
alpha: 0.01
datasets:
  mine: {manifest: out/private/manifest.parquet, key: key, commitment: published.json}
texts:
  copy: {path: out/release, role: suspect}
  free: {path: data.parquet, role: innocent}
tests:
  leak: {kind: leak, dataset: mine, innocent: [free]}
"""


def test_a_dataset_is_held_against_what_was_published(run, job, key, english, tmp_path):
    pl.DataFrame({"text": english[:60]}).write_parquet(tmp_path / "data.parquet")
    mark = ["watermark", "embed", "data.parquet", "out", "--key", key, "--tier", "broad"]
    assert run(*mark)[0] == 0
    published = tmp_path / "published.json"
    shutil.copy(tmp_path / "out" / "release" / "release.json", published)
    (outcome,) = run_job(job(LEAK))
    assert outcome.finding.log10_p < -3
    assert [file.name for file in outcome.attachments] == ["coverage.csv", "audited_files.csv"]
    assert outcome.controls["free"].p_value > 0.01
    assert {item.name for item in outcome.examined} == {"copy", "mine"}
    shutil.rmtree(tmp_path / "audit.yaml.work")
    (tmp_path / "custody.jsonl").unlink()
    release = json.loads(published.read_text())
    release["key_commitment"] = "0" * 64
    published.write_text(json.dumps(release))
    (outcome,) = run_job(job(LEAK))
    assert "published.json: does not describe this manifest" in outcome.reason


# ---- the work folder -------------------------------------------------------------------------------


def test_a_work_folder_is_private_and_ours_alone(tmp_path):
    with WorkFolder.opened(tmp_path / "w", "a" * 64):
        assert (tmp_path / "w").stat().st_mode & 0o777 == 0o700
        with pytest.raises(InvalidInput, match="another process is at work"):
            with WorkFolder.opened(tmp_path / "w", "a" * 64):
                pass
    (tmp_path / "link").symlink_to(tmp_path / "w")
    with (
        pytest.raises(InvalidInput, match="is not ours"),
        WorkFolder.opened(tmp_path / "link", "a" * 64),
    ):
        pass


def test_a_strange_result_is_refused(job):
    todo = job()
    with WorkFolder.opened(todo.work, todo.registered.pre_registration) as work:
        work.keep(Kept(test="order.alien", started="", finished="", reason="x"))
    with pytest.raises(VerificationError, match=r"order\.alien was never registered"):
        run_job(todo)


# ---- the command -----------------------------------------------------------------------------------


def test_a_dry_run_touches_nothing(run, job, tmp_path):
    job()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("audit", "audit.yaml", "--dry-run", "--json")
    assert (code, err) == (1, "")  # a file is missing
    told = json.loads(out)
    assert (told["placeholders"], told["changed"], told["ready"]) == ([], "", False)
    assert [test["id"] for test in told["tests"]][:3] == [
        "order.guilty",
        "order.missing",
        "order.clean",
    ]
    assert told["audit"]["correction"] == "holm"
    assert {"where": "models.missing.model", "path": "nothing", "found": False} in told["files"]
    code, out, _ = run("audit", "audit.yaml", "--dry-run")
    assert code == 1
    assert re.search(r"^MISSING +models\.gone\.model: gone\.parquet$", out, re.MULTILINE)
    assert re.search(r"^order\.made +order +positive +\d+$", out, re.MULTILINE)
    assert "no endpoint" in out
    assert sorted(tmp_path.rglob("*")) == before


def test_registering_writes_the_log_and_a_request(run, job, tmp_path):
    registered = job(COMPLETE).registered
    assert run("audit", "audit.yaml", "--dry-run")[0] == 0
    for is_new in (True, False):
        code, out, _ = run("audit", "audit.yaml", "--register", "--json")
        assert code == 0
        told = json.loads(out)
        assert (told["sha256"], told["new"]) == (registered.pre_registration, is_new)
    request = TimestampRequest.from_bytes((tmp_path / "audit.yaml.tsq").read_bytes())
    assert request.message_sha256.hex() == registered.pre_registration
    assert len(custody.verify(tmp_path / "custody.jsonl").entries) == 1
    out = run("audit", "audit.yaml", "--register")[1]
    assert f"send it   {told['send']}" in out
    assert told["send"].endswith("--data-binary @audit.yaml.tsq -o audit.yaml.tsr URL")
    assert "without it check 6 stays 'time unproven'" in out
    job(COMPLETE.replace("0.01", "0.02"))
    code, _, err = run("audit", "audit.yaml", "--register")
    assert (code, "is a request for another file" in err) == (2, True)
    assert len(custody.verify(tmp_path / "custody.jsonl").entries) == 1


def test_what_is_missing_is_not_registered(run, job, tmp_path):
    job()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("audit", "audit.yaml", "--register")
    assert (code, out) == (2, "")
    assert "models.missing.model (nothing), models.gone.model (gone.parquet)" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_answers_over_the_audit_file_come_after_its_registration(run, job):
    job(COMPLETE.replace("alpha", "timestamps: [audit.yaml.freetsa.tsr]\nalpha"))
    assert run("audit", "audit.yaml", "--dry-run")[0] == 0
    assert run("audit", "audit.yaml", "--register")[0] == 0


def test_that_the_file_was_changed_is_said_first(run, job, tmp_path):
    todo = job(COMPLETE)
    with WorkFolder.opened(todo.work, todo.registered.pre_registration):
        pass
    (tmp_path / "audit-bundle").mkdir()
    assert "audit-bundle: already exists" in run("audit", "audit.yaml")[2]
    job(COMPLETE.replace("0.01", "0.05"))
    for option in ([], ["--register"]):
        code, out, err = run("audit", "audit.yaml", *option)
        assert (code, out) == (2, "")
        assert "the audit file is no longer the one registered" in err
    code, out, _ = run("audit", "audit.yaml", "--dry-run")
    assert code == 1
    assert re.search(r"^CHANGED +the audit file is no longer", out, re.MULTILINE)


@pytest.mark.parametrize("option", [[], ["--register"]])
def test_what_was_not_filled_in_is_neither_registered_nor_run(run, job, tmp_path, option):
    text = COMPLETE.replace("title: Audit", 'title: "FILL IN what is asked"\nconflicts: FILL IN')
    job(text)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("audit", "audit.yaml", *option)
    assert (code, out) == (2, "")
    line = text[: text.index("title")].count("\n") + 1
    assert f"audit.yaml, line {line}: title: still to be filled in (1 more after it)" in err
    assert sorted(tmp_path.rglob("*")) == before
    code, out, _ = run("audit", "audit.yaml", "--dry-run")
    assert code == 1
    assert re.search(rf"^FILL IN +line {line + 1}: conflicts$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which audit file?"),
        (["nothing.yaml"], "nothing.yaml: cannot be read"),
        (["audit.yaml", "--register", "--dry-run"], "do not go together"),
        (["audit.yaml", "--out", "order.parquet"], "already exists"),
        (["audit.yaml", "--out", "x.zip"], "names a folder"),
        (["audit.yaml", "--sign", "order.parquet"], "order.parquet"),
        (["audit.yaml", "--tsa-roots", "audit.yaml"], "audit.yaml"),
    ],
)
def test_bad_calls_are_one_line_and_touch_nothing(run, job, tmp_path, arguments, message):
    job()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("audit", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("error:") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_the_example_can_be_read(run, tmp_path):
    code, out, err = run("audit", "--example")
    assert (code, err) == (0, "")
    (tmp_path / "audit.yaml").write_text(out)
    assert [pair.id for pair in Registered.read(tmp_path / "audit.yaml").pairs] == [
        "mark.suspect-a",
        "copy.found-online",
    ]


def test_the_example_asserts_nothing_for_its_user(run, tmp_path):
    (tmp_path / "AUDIT.yaml").write_text(run("audit", "--example")[1])
    registered = Registered.read(tmp_path / "AUDIT.yaml")
    assert all(test.power is None for test in registered.registered_tests())
    left = {field for _, field in registered.placeholders()}
    assert {"report_id", "title", "instructions", "conflicts", "parties.1.details"} <= left
    assert {"datasets.mine.acquired.how", "models.suspect-a.acquired.by"} <= left
    code, _, err = run("audit", "AUDIT.yaml", "--register")
    assert (code, "line 9: report_id: still" in err) == (2, True)


# ---- progress --------------------------------------------------------------------------------------


def test_without_a_terminal_there_is_a_line_for_each_test(job, capfd):
    run_job(job())
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 8
    assert re.fullmatch(r"1 of 8: order\.guilty: done, \d+\.\d s", lines[0])
    assert sum("could not be tested" in line for line in lines) == 2


def test_on_a_terminal_there_is_a_table(job, monkeypatch):
    pairs = job().registered.pairs
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress_of(pairs) as progress:
        assert type(progress) is not Progress
        progress.begins(pairs[0])
        progress.says("asking \x1b[2J")
        progress.ended(pairs[0], "done", 1.0)
        table, below = progress.rendered().renderables
        assert table.row_count == 3
        assert "1 of 5 done. asking <U+001B>[2J" in below.plain


class Asked:
    """A model that counts what it is asked."""

    def __init__(self):
        self.identity = "me"
        self.record = lambda: b"told"
        self.n = 0

    def token_logprobs(self, sequences):
        self.n += 1
        return [np.full(len(sequence), float(self.n)) for sequence in sequences]

    def choice_logprobs(self, texts, slots):
        self.n += 1
        return [[np.full(len(s.choices), float(self.n)) for s in row] for row in slots]


def test_a_reference_is_asked_once():
    model = Asked()
    kept = Remembered(model)
    assert (kept.identity, kept.record()) == ("me", b"told")
    for _ in range(3):
        assert kept.token_logprobs([[1, 2], "ab"])[1].tolist() == [1.0, 1.0]
    assert kept.token_logprobs([[1, 2], "ac"])[1].tolist() == [2.0, 2.0]
    assert kept.token_logprobs([[1], [2], "ab"])[0].tolist() == [
        3.0
    ]  # cut otherwise: another question
    slot = ChoiceSlot(1, 2, ("a", "b"))
    for _ in range(2):
        assert kept.choice_logprobs(["x"], [[slot]])[0][0].tolist() == [4.0, 4.0]
    other = ChoiceSlot(1, 2, ("a", "c"))
    assert kept.choice_logprobs(["x"], [[other]])[0][0].tolist() == [5.0, 5.0]
    for number in range(40):  # memory is bounded
        kept.token_logprobs([[number, number]])
    assert kept.token_logprobs([[1, 2], "ab"])[1].tolist() == [46.0, 46.0]


def test_references_of_several_suspects_give_the_findings_of_the_command(job):
    text = AUDIT.replace("old: {model: answers.parquet#loss_old, role: innocent}",
                         "old: {model: answers.parquet#loss_old, role: reference}")  # fmt: skip
    text = text.replace("innocent: [old, gone], positive: [made]", "references: [old]")
    text = "\n".join(
        line for line in text.splitlines() if not line.startswith(("  gone", "  made", "  steps"))
    )
    outcomes = {outcome.test: outcome for outcome in run_job(job(text + "\n"))}
    for suspect in ("guilty", "clean"):
        finding = outcomes[f"order.{suspect}"].finding
        assert finding.working.n_numbered == 1
        assert not disagreements(finding, finding.working.repeat()).core
    one, other = (outcomes[f"order.{s}"].finding.working.numbered()[0] for s in ("guilty", "clean"))
    np.testing.assert_array_equal(one, other)
