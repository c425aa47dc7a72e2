"""bookplate.toml and the environment: what is stronger, what is refused, and that nothing is hidden."""

import json
import re
from pathlib import Path

import pytest
import typer
from bookplate.cli import configuration, reaching
from bookplate.cli.configurable import Place, classified, place_of, reads_none
from bookplate.cli.configuration import Settings
from bookplate.cli.main import app

POWER = ["power", "choice", "--effect", "0.2"]
TREE = typer.main.get_command(app)
SECRET = "sk-0123456789abcdefghij"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes bookplate.toml; nothing of the user's is read."""
    monkeypatch.delenv("BOOKPLATE_CONFIG", raising=False)

    def write(text, name="bookplate.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What a command line repeats and says of settings, without running it: (command, note)."""
    from bookplate.cli.reporting import repeat_command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(configuration, "_process", configuration._Process())
    notes = []
    monkeypatch.setattr(configuration, "print_note", notes.append)

    def told(*words):
        notes.clear()
        monkeypatch.setattr("sys.argv", ["bookplate", *words])
        defaults = configuration.defaults_of(TREE, words)
        return repeat_command(), "\n".join(notes), defaults

    return told


def named(monkeypatch, tmp_path, name="bookplate.toml"):
    monkeypatch.setenv("BOOKPLATE_CONFIG", str(tmp_path / name))


def test_the_command_line_beats_the_environment_beats_the_file_beats_the_default(
    config, monkeypatch, told
):
    detect = ["watermark", "detect", "m.parquet", "--suspect", "s"]
    assert told(*detect)[2] == {}
    config('[watermark.detect]\ndevice = "weak"\n')
    assert told(*detect)[2] == {"watermark": {"detect": {"device": "weak"}}}
    monkeypatch.setenv("BOOKPLATE_WATERMARK_DETECT_DEVICE", "middle")
    assert told(*detect)[2] == {"watermark": {"detect": {"device": "middle"}}}
    for typed in (["--device", "strong"], ["--device=strong"]):
        command, note, _ = told(*detect, *typed)
        assert ("middle" in command, note) == (False, "")


def test_a_setting_reaches_the_command_and_the_command_line_beats_it(run, config, monkeypatch):
    assert not run(*POWER)[1].startswith("{")
    config("[power]\njson = true\n")
    code, out, err = run(*POWER)
    assert (code, err) == (0, "from bookplate.toml: --json\n")
    assert json.loads(out)["forecast"]
    monkeypatch.setenv("BOOKPLATE_POWER_JSON", "0")
    assert not run(*POWER)[1].startswith("{")
    assert json.loads(run(*POWER, "--json")[1])["forecast"]


def test_another_file_can_be_named_by_its_full_path(run, config, monkeypatch, tmp_path):
    config("[power]\njson = false\n")
    config("[power]\njson = true\n", "other.toml")
    named(monkeypatch, tmp_path, "other.toml")
    assert run(*POWER)[2] == f"from {tmp_path}/other.toml: --json\n"
    for wrong, said in (("other.toml", "expected a full path"), ("none.toml", "no such file")):
        monkeypatch.setenv("BOOKPLATE_CONFIG", wrong)
        code, _, err = run(*POWER)
        assert code == 2
        assert f"BOOKPLATE_CONFIG={wrong}: {said}" in err


def test_config_shows_what_applies(run, config, monkeypatch, tmp_path):
    assert "Nothing is set" in run("config")[2]
    config('[watermark.detect]\ndevice = "cpu"\nreference = ["a", "b"]\n')
    named(monkeypatch, tmp_path)
    monkeypatch.setenv("BOOKPLATE_WATERMARK_DETECT_DEVICE", "cuda")
    shown = json.loads(run("config", "--json")[1])
    assert shown["file"] == f"{tmp_path}/bookplate.toml"
    assert {(s["option"], str(s["value"]), s["source"]) for s in shown["settings"]} == {
        ("device", "cuda", "BOOKPLATE_WATERMARK_DETECT_DEVICE"),
        ("reference", "['a', 'b']", f"{tmp_path}/bookplate.toml, line 3"),
    }
    assert "a, b" in run("config")[1]


TYPED = "is given on the command line each time"
FOUND = "may not come from a file that merely lies in the folder"
LINES = ("x" * 3_000 + "\n") * 3
REFUSED = {
    "no option": ("[power]\n\nalfa = 1\n", "bookplate.toml, line 3: 'bookplate power' has no"),
    "underscores": ("[watermark.embed]\ntext_column = 'x'\n", "line 2.*'text-column' is one"),
    "no command": ("[pover]\nalpha = 1\n", "line 2: 'pover.alpha' is no option of a command"),
    "no table": ("alpha = 1\n", "line 1: 'alpha' is no option of a command"),
    "no TOML": ("[power\nalpha = 1\n", "cannot be read as TOML.*line 1"),
    "a list for one": ("[watermark.detect]\ndevice = [1]\n", "line 2: expected one text or number"),
    "a huge number": (
        f"[watermark.detect]\ndevice = 0x{'F' * 4000}\n",
        "line 2: expected one text or number",
    ),
    "a huge text": (f"[watermark.detect]\ndevice = '''{LINES}'''\n", "line 2.*too long"),
    "a text for a flag": ("[power]\njson = 'yes'\n", "line 2: expected true or false"),
    "a secret": (f"[watermark.detect]\ndevice = '{SECRET}'\n", "line 2.*looks like a secret"),
    "an argument": ("[watermark.detect]\nmanifest = 'x'\n", "has no option 'manifest'"),
    "a wrong value": ("[influence.fit]\ndtype = 'x'\n", "Invalid value for '--dtype'"),
    "tests of an audit": ("[audit]\nretry = true\n", f"line 2: 'retry' .* {TYPED}"),
    "where an audit goes": ("[audit]\nwork = 'w'\n", TYPED),
    "whom to trust": ("[report.verify]\nkey = ['k']\n", TYPED),
    "a threshold": ("[power]\nalpha = 1e-2\n", f"line 2: 'alpha' of 'bookplate power' {TYPED}"),
    "whose token": ("[watermark.detect]\ntoken-variable = 'AWS'\n", f"line 2: .*variable' {FOUND}"),
    "whom to send texts": ("[watermark.embed]\ncandidates = 'llm'\n", f"line 2: .* {FOUND}"),
    "where to": ("[watermark.embed]\n\nurl = 'https://x.org'\n", f"line 3: 'url' {FOUND}"),
    "whom to ask": ("[palimpsest]\nquery.suspect = ['https://x.org#m']\n", f"line 2: .* {FOUND}"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_belong_in_a_found_file_is_refused_with_its_line(run, config, text, said):
    config(text)
    words = POWER if "dtype" not in text else ["influence", "fit", "m", "t", "o"]
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert re.search(said, err if "dtype" in text else err.splitlines()[-1]), err
    assert SECRET not in err


NAMED_REFUSED = {
    "one for a list": ("[watermark.detect]\nreference = 'a'\n", "line 2.*expected a list"),
    "the token itself": (
        "[watermark.detect]\ntoken-variable = 'my-token'\n",
        "line 2.*names no environment variable",
    ),
    "a threshold": ("[power]\nalpha = 1e-2\n", TYPED),
    "who signs": ("[audit]\nsign = 'k'\n", TYPED),
}


@pytest.mark.parametrize(("text", "said"), NAMED_REFUSED.values(), ids=NAMED_REFUSED)
def test_what_does_not_belong_in_a_named_file_is_refused_too(
    run, config, monkeypatch, tmp_path, text, said
):
    config(text)
    named(monkeypatch, tmp_path)
    code, out, err = run(*POWER)
    assert (code, out) == (2, "")
    assert re.search(said, err.splitlines()[-1]), err


HOSTILE = {
    "spaces": "a = '''\n" + ("[" + " " * 4_000 + "\n") * 15 + "'''\n",
    "a wide line": "[" + " " * 60_000 + "]\n",
    "brackets": "a = " + "[\n" * 30_000,
    "tables": "[" + ".".join("a" * 1_000) + "]\nx = 1\n",
    "words": "".join(f"a{n}." + ".".join("a" * 2_000) + " = 1\n" for n in range(16)),
    "headers": "".join(f"[a{n}]\n" for n in range(8_000)) + "x = 1\n",
    "size": "#" * 70_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_one_line(run, config, text):
    """And soon: the spaces alone once took minutes."""
    config(text)
    code, out, err = run(*POWER)
    assert (code, out, err.count("\n")) == (2, "", 1), err[:300]
    assert len(err) < 400


def options():
    """Every command with every option's long name, as a walk over the whole command line finds them."""

    def walk(command, path=()):
        for name, part in getattr(command, "commands", {}).items():
            yield from walk(part, (*path, name))
        if not getattr(command, "commands", None):
            for parameter in command.params:
                for name in parameter.opts if parameter.param_type_name == "option" else []:
                    yield path, name.removeprefix("--")

    return list(walk(TREE))


def test_every_option_of_every_command_is_classified():
    """A new option has to be put into the table of cli/configurable.py, and an old one out of it."""
    table = classified()
    known = {(name,) for _, name in options()}
    apart = {(*command, name) for command, name in options()}
    assert sorted(known - set(table)) == []
    assert sorted(set(table) - known - apart) == []
    assert len(options()) > 400


def test_the_manual_lists_what_may_be_set():
    text = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
    for place, row in ((Place.ANYWHERE, "| a found file,"), (Place.NAMED, "| a named file or")):
        line = next(line for line in text.splitlines() if line.startswith(row))
        of_all = {name[0] for name, where in classified().items() if where is place}
        assert set(re.findall(r"`([^`]+)`", line)) == of_all


def test_what_the_table_does_not_know_can_only_be_typed():
    assert place_of(("power",), "brand-new") is Place.NOWHERE


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (Place.ANYWHERE, "json device dtype workers"),
        (Place.NAMED, "suspect reference url token-variable candidates model answers adapter "
                      "released committed held-out text-column engine"),
        (Place.NOWHERE, "key sign who out report recipient head note file alpha seed unit statistic "
                        "covariate rank-by pooled randomised tier force roots zip log work plot"),
    ],
)  # fmt: skip
def test_where_the_options_stand_that_matter_most(place, names):
    assert {place_of(command, name) for command, name in options() if name in names.split()} - {
        place
    } <= {Place.NOWHERE}  # those that check evidence read nothing, and a number may share a name
    assert {place_of(("watermark", "detect"), name) for name in names.split()} == {place}


CHECKS = [
    "report verify b", "watermark check-disclosure f", "timestamp verify f a", "log verify l",
    "key check-draw k", "palimpsest verify p",
]  # fmt: skip


@pytest.mark.parametrize("words", CHECKS)
def test_who_checks_evidence_reads_no_settings(run, config, monkeypatch, words):
    bare = run(*words.split())
    config("[" * 5_000)
    monkeypatch.setenv("BOOKPLATE_CONFIG", "no/such/file")
    monkeypatch.setenv("BOOKPLATE_POWER_ALFA", "1")
    monkeypatch.setenv("BOOKPLATE_REPORT_VERIFY_JSON", "1")
    assert run(*words.split()) == bare
    assert reads_none(["--debug", *words.split()])
    assert run(*POWER)[0] == 2


def test_an_unknown_variable_is_refused_and_others_are_left_alone(run, config, monkeypatch):
    monkeypatch.setenv("BOOKPLATE_CACHE", "x")
    monkeypatch.setenv("BOOKPLATES_OF_MINE", "x")
    assert run(*POWER)[0] == 0
    monkeypatch.setenv("BOOKPLATE_POWER_ALFA", "0.1")
    code, _, err = run(*POWER)
    assert code == 2
    assert "BOOKPLATE_POWER_ALFA: names no option" in err


def test_flags_and_lists_from_the_environment(monkeypatch, tmp_path):
    environment = {
        "BOOKPLATE_POWER_JSON": "1",
        "BOOKPLATE_WATERMARK_DETECT_REFERENCE": "one 'two words'",
    }
    found = Settings.read(typer.main.get_command(app), environment, tmp_path)
    assert {setting.option: setting.value for setting in found.found} == {
        "json": True,
        "reference": ["one", "two words"],
    }


def test_help_and_version_work_beside_a_broken_file(run, config):
    config("[")
    for asked in (["--help"], ["--version"], ["power", "--help"]):
        assert run(*asked)[0] == 0
    assert run(*POWER)[0] == 2


def test_a_result_is_decided_by_no_variable(run, monkeypatch):
    monkeypatch.setenv("BOOKPLATE_POWER_ALPHA", "0.5")
    code, _, err = run(*POWER)
    assert code == 2
    assert f"BOOKPLATE_POWER_ALPHA: 'alpha' of 'bookplate power' {TYPED}" in err


def test_a_variable_that_is_no_words_is_refused(run, monkeypatch):
    monkeypatch.setenv("BOOKPLATE_WATERMARK_DETECT_REFERENCE", "'open")
    code, _, err = run(*POWER)
    assert code == 2
    assert "BOOKPLATE_WATERMARK_DETECT_REFERENCE: cannot be split" in err


def test_every_option_has_a_variable_of_its_own():
    from bookplate.cli.configuration import _variable_of

    names = [_variable_of(command, option) for command, option in options()]
    assert len(set(names)) == len(names)
    assert "BOOKPLATE_CONFIG" not in names


def test_a_report_repeats_options_that_came_from_elsewhere(config, monkeypatch, tmp_path, told):
    config('[watermark.detect]\ntimeout = 5\ndevice = "cpu"\nreference = ["a b"]\n')
    named(monkeypatch, tmp_path)
    words = ["watermark", "detect", "m.parquet", "--suspect", "s", "--device", "cuda"]
    command, note, _ = told(*words)
    more = "--timeout 5 --reference 'a b'"
    assert command == f"bookplate watermark detect m.parquet --suspect s --device cuda {more}"
    assert note == f"from {tmp_path}/bookplate.toml: {more}"


def test_a_flag_that_is_set_to_false_is_told_and_overridden(config, told):
    config("[influence.plan]\nprobe = false\njson = false\n")
    words = ["influence", "plan", "m"]
    command, note, defaults = told(*words)
    assert (command, note) == (
        "bookplate influence plan m --no-probe",
        "from bookplate.toml: --no-probe",
    )
    assert defaults["influence"]["plan"]["probe"] is False
    config("[influence.plan]\nprobe = true\n")
    assert told(*words)[0] == "bookplate influence plan m --probe"
    assert told(*words, "--no-probe")[:2] == ("bookplate influence plan m --no-probe", "")


A, B = "https://a.example/v1#m", "https://b.example/v1#m"
NAMES = {
    "both": (["m", A, B], {A: "MINE", B: None}),
    "the same host": ([A, "https://A.example:443/v2#n"], {"https://A.example:443/v2#n": "MINE"}),
    "another port": ([A, "https://a.example:444/v1#m"], {"https://a.example:444/v1#m": None}),
    "another scheme": ([A, "http://a.example/v1#m"], {"http://a.example/v1#m": None}),
    "the suspect": ([A, B, "m"], {A: "MINE", B: None}),
}


@pytest.mark.parametrize(("names", "tokens"), NAMES.values(), ids=NAMES)
def test_a_token_goes_to_one_host_alone(monkeypatch, capfd, names, tokens):
    given = {}
    monkeypatch.setattr(
        reaching,
        "open_model",
        lambda name, how, endpoint, *, adapter: given.update({name: endpoint.token_variable}),
    )
    how = reaching.Reached(token_variable="MINE")
    reaching.reach(names[0], names[1:], how)
    assert {name: given[name] for name in tokens} == tokens
    refused = [name for name, token in tokens.items() if token is None]
    assert capfd.readouterr().err.count("gets no token: MINE goes to https://a.example:443") == len(
        refused
    )
    for name in names[1:]:  # several suspects are opened one by one
        reaching.reach(name, [], how, named=names)
    assert {name: given[name] for name in tokens} == tokens


def test_no_setting_changes_what_an_audit_registers(run, config, tmp_path):
    """Its tests, seeds and thresholds come from AUDIT.yaml alone."""
    example = run("audit", "--example")[1]
    (tmp_path / "AUDIT.yaml").write_text(example, encoding="utf-8")
    before = run("audit", "AUDIT.yaml", "--dry-run", "--json")
    config("[watermark.detect]\ndtype = 'int8'\n[palimpsest.query]\ndevice = 'cuda'\n")
    after = run("audit", "AUDIT.yaml", "--dry-run", "--json")
    assert (before[0], before[1]) == (after[0], after[1])
    assert before[0] == 1, before[2]  # what it names is not there
    assert json.loads(after[1])["tests"]
