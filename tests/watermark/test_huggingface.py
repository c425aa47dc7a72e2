"""Datasets of the library `datasets`: a stand-in for all that we ask of one, and the library itself."""

import datetime
import decimal
import io

import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import restore
from bookplate.watermark.huggingface import embed_dataset
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import Manifest
from bookplate.watermark.marking import Marking

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
KEY = MarkingKey(b"k" * 32, b"s" * 32)


def mark(dataset, out, **options):
    return embed_dataset(dataset, out, KEY, Marking(), candidates=BROAD, **options)


class Feature:
    def __init__(self, dtype):
        self.dtype = dtype


class StandIn:
    """What we ask of a `datasets.Dataset`."""

    def __init__(self, frame, split=None, fingerprint="f1"):
        self.frame, self.split, self._fingerprint = frame, split, fingerprint
        self.column_names = frame.columns
        self.features = {
            name: Feature("string" if kind == pl.String else "int64")
            for name, kind in frame.schema.items()
        }
        self.num_rows = frame.height
        self.written = 0

    def to_parquet(self, file):
        self.written += 1
        self.frame.write_parquet(file, metadata={"huggingface": "{}"})


@pytest.fixture
def frame(english):
    return pl.DataFrame({"text": english[:40], "label": list(range(40))})


def test_splits_become_files_that_come_back(tmp_path, frame):
    splits = {"train": StandIn(frame[:30]), "test": StandIn(frame[30:])}
    assert mark(splits, tmp_path / "out").rows == 40
    release, manifest = tmp_path / "out" / "release", tmp_path / "out/private/manifest.parquet"
    assert sorted(p.name for p in release.iterdir()) == [
        "release.json",
        "test.parquet",
        "train.parquet",
    ]
    assert Manifest.read(manifest).files == (("test.parquet", 10), ("train.parquet", 30))
    assert pl.read_parquet_metadata(release / "train.parquet")["huggingface"] == "{}"
    restore(release, manifest, tmp_path / "back")
    assert pl.read_parquet(tmp_path / "back" / "train.parquet").equals(frame[:30])


@pytest.mark.parametrize(
    ("split", "name"), [(None, "data"), ("train", "train"), ("train[:10%]+test", "train")]
)
def test_one_split_goes_by_its_name(tmp_path, frame, split, name):
    mark(StandIn(frame, split), tmp_path / "out")
    assert (tmp_path / "out" / "release" / f"{name}.parquet").exists()


def test_a_stopped_run_is_taken_up_again(tmp_path, frame, monkeypatch):
    """The split is not written again, and only the same dataset goes on."""

    def interrupted(*arguments):
        raise KeyboardInterrupt

    dataset = StandIn(frame)
    with monkeypatch.context() as patch:
        patch.setattr("bookplate.watermark.embed.join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mark(dataset, tmp_path / "out")
    with pytest.raises(InvalidInput, match="was not finished"):
        mark(StandIn(frame, fingerprint="f2"), tmp_path / "out")
    mark(dataset, tmp_path / "out")
    assert dataset.written == 1
    mark(StandIn(frame), tmp_path / "afresh")
    for name in ("release/data.parquet", "private/manifest.parquet", "release/release.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "afresh" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["afresh", "out"]


def test_a_split_that_was_half_written_is_written_again(tmp_path, frame):
    class Killed(StandIn):
        def to_parquet(self, file):
            super().to_parquet(file)
            if self.written == 1:
                raise KeyboardInterrupt

    splits = {"a": StandIn(frame), "b": Killed(frame)}
    with pytest.raises(KeyboardInterrupt):
        mark(splits, tmp_path / "out")
    mark(splits, tmp_path / "out")
    assert [split.written for split in splits.values()] == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {}, "has no splits"),
        (lambda f: {"train": f}, "split 'train': expected a datasets.Dataset, got DataFrame"),
        (lambda f: {"../x": StandIn(f)}, "cannot release a file named"),
        (lambda f: StandIn(f.drop("text")), "split 'data': no column 'text'"),
        (lambda f: StandIn(f.with_columns(text=1)), "'text': expected strings, got int64"),
        (lambda f: StandIn(f[:0]), "split 'data': the dataset is empty"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, frame, change, message):
    with pytest.raises(InvalidInput, match=message):
        mark(change(frame), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_errors_name_the_split_and_the_row(tmp_path, frame):
    missing = frame.with_columns(text=pl.when(pl.col("label") != 35).then("text"))
    with pytest.raises(InvalidInput, match=r"^split 'data': row 36: 'text' is missing"):
        mark(StandIn(missing), tmp_path / "out")
    assert not list(tmp_path.iterdir())


# The library itself.


@pytest.fixture
def real(english, tmp_path):
    """A dataset with a column of every kind."""
    datasets = pytest.importorskip("datasets")
    image = pytest.importorskip("PIL.Image")
    picture = io.BytesIO()
    image.new("RGB", (4, 4)).save(picture, "PNG")
    n = 50
    kinds = {
        "label": (datasets.ClassLabel(names=["no", "yes"]), [0, 1] * 25),
        "when": (
            datasets.Value("timestamp[us, tz=UTC]"),
            [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)] * n,
        ),
        "day": (datasets.Value("date32"), [datetime.date(2020, 1, 1)] * n),
        "half": (datasets.Value("float16"), [1.5] * n),
        "price": (datasets.Value("decimal128(10, 2)"), [decimal.Decimal("1.25")] * n),
        "bytes": (datasets.Value("binary"), [b"\xff\x00"] * n),
        "image": (datasets.Image(), [{"bytes": picture.getvalue(), "path": None}] * n),
        "nested": (
            {"a": datasets.List(datasets.Value("int8")), "b": [{"c": datasets.Value("string")}]},
            [{"a": [i % 3, None], "b": [{"c": "u"}] * (i % 3)} for i in range(n)],
        ),
        "matrix": (datasets.Array2D((2, 2), "float32"), [[[1.0, 2.0], [3.0, 4.0]]] * n),
        "three": (datasets.List(datasets.Value("float32"), length=3), [[1.0, 2.0, 3.0]] * n),
        "nothing": (datasets.Value("null"), [None] * n),
        "large": (datasets.Value("large_string"), ["x", None] * 25),
        "text": (datasets.Value("string"), english[:n]),
    }
    return datasets.Dataset.from_dict(
        {name: values for name, (_, values) in kinds.items()},
        features=datasets.Features({name: feature for name, (feature, _) in kinds.items()}),
    )


def test_all_features_survive(tmp_path, real, monkeypatch):
    """Also of a dataset that is a shuffled view of another, shown in another format."""
    import datasets

    monkeypatch.setattr("bookplate.watermark.tables.parquet._MOST_ROWS", 7)
    view = real.shuffle(seed=1).select(range(40)).with_format("numpy", columns=["label"])
    splits = datasets.DatasetDict({"train": view, "test": real.select(range(40, 50))})
    mark(splits, tmp_path / "out", id_column="label")
    loaded = datasets.load_dataset(
        "parquet",
        data_dir=str(tmp_path / "out" / "release"),
        data_files={"train": "train.parquet", "test": "test.parquet"},
        cache_dir=str(tmp_path / "cache"),
    )
    view.reset_format()
    for name, split in splits.items():
        assert loaded[name].features == split.features
        assert loaded[name].column_names == split.column_names
        others = [column for column in split.column_names if column != "text"]
        assert loaded[name].select_columns(others).data.to_pylist() == (
            split.select_columns(others).flatten_indices().data.to_pylist()
        )
        assert loaded[name]["text"][:] != split["text"][:]
    restore(
        tmp_path / "out" / "release",
        tmp_path / "out" / "private" / "manifest.parquet",
        tmp_path / "back",
    )
    assert pl.read_parquet(tmp_path / "back" / "train.parquet")["text"].to_list() == view["text"][:]


@pytest.mark.parametrize("first", [datetime.timedelta(seconds=4), None])
def test_durations_in_seconds_keep_their_values(tmp_path, english, first, monkeypatch):
    """polars writes them in milliseconds, so the source's schema must not be kept; nor if unsure."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("bookplate.watermark.tables.parquet._MOST_ROWS", 7)
    rows = {"text": english[:20], "took": [first] * 7 + [datetime.timedelta(seconds=4)] * 13}
    features = {"text": datasets.Value("string"), "took": datasets.Value("duration[s]")}
    dataset = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    mark(dataset, tmp_path / "out")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "out" / "release" / "data.parquet")
    assert table["took"].to_pylist() == rows["took"]


def test_a_stream_is_refused(tmp_path, real):
    with pytest.raises(InvalidInput, match=r"expected a datasets\.Dataset, got IterableDataset"):
        mark(real.to_iterable_dataset(), tmp_path / "out")
