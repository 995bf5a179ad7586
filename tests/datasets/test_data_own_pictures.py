"""Pictures and series of one's own: what notebooks and file managers leave behind, odd files, drawn test parts."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sif.datasets import Pictures, read, read_pictures
from sif.errors import DataError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path: Path, seed: int = 0, side: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def pictures(root: Path, parts: tuple[str, ...] = ("train", "test"), count: int = 4) -> Path:
    for place, part in enumerate(parts):
        for label, name in enumerate(("cat", "dog")):
            for number in range(count):
                picture(root / part / name / f"{number}.png", 100 * place + 10 * label + number)
    return root


JUNK = (".ipynb_checkpoints/0.png", "__MACOSX/cat/._0.png", "cat/._0.png", "cat/Thumbs.db", "cat/desktop.ini")


def test_hidden_files_and_folders_are_no_classes_and_no_pictures(here: Path):
    clean = read_pictures(pictures(here / "pics"))
    for name in (*(f"train/{junk}" for junk in JUNK), ".DS_Store", "__MACOSX/._pics", "test/.hidden/0.png"):
        (here / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "pics" / name).write_bytes(b"\0\5\x16\7")
    found = read_pictures("pics")
    assert (found.classes, found.notes, found.fingerprint()) == (("cat", "dog"), (), clean.fingerprint())
    with zipfile.ZipFile("packed.zip", "w") as opened:
        for path in sorted(p for p in (here / "pics").rglob("*") if p.is_file()):
            opened.write(path, str(path.relative_to(here)))
        opened.writestr("__MACOSX/pics/train/cat/._0.png", b"\0\5\x16\7")
        opened.writestr(".DS_Store", b"")
    assert read_pictures("packed.zip").fingerprint() == clean.fingerprint()


def test_a_folder_in_a_folder_and_a_zip_with_backslashes(here: Path):
    clean = read_pictures(pictures(here / "deep" / "deep" / "pics"))
    assert read_pictures("deep").fingerprint() == clean.fingerprint()
    with zipfile.ZipFile("windows.zip", "w") as opened:
        for path in (here / "deep").rglob("*.png"):
            opened.writestr(str(path.relative_to(here)).replace("/", "\\"), path.read_bytes())
    assert read_pictures("windows.zip").fingerprint() == clean.fingerprint()


def test_what_is_left_out_is_noted(here: Path):
    pictures(here / "pics")
    (here / "pics/train/emu").mkdir()
    (here / "pics/train/cat/README.txt").write_text("cats")
    shutil.rmtree(here / "pics/test/dog")
    picture(here / "pics/val/cat/0.png", 300)
    assert read_pictures("pics").notes == (
        "pics/train/emu holds no pictures of a class: it is none",
        "1 file that is no picture of a class left out: train/cat/README.txt",
        "pics/val is not read: pictures.holdout holds training pictures out instead",
        "no test picture is of dog",
    )


def test_pictures_of_the_test_part_that_were_trained_on_are_noted(here: Path):
    pictures(here / "pics")
    shutil.copy("pics/train/cat/1.png", "pics/test/dog/again.PNG")
    found = read_pictures("pics")
    assert found.notes == ("1 of 9 test pictures is in the training part too, pixel for pixel",)


def test_nested_folders_links_and_capitals_are_read(here: Path):
    pictures(here / "pics")
    picture(here / "pics/train/cat/more/even more/9.PNG", 77)
    (here / "elsewhere").mkdir()
    picture(here / "elsewhere/8.JPEG", 78)
    (here / "pics/train/dog/linked").symlink_to(here / "elsewhere", target_is_directory=True)
    assert torch.bincount(read_pictures("pics").train_labels).tolist() == [5, 5]
    (here / "pics/train/dog/round").symlink_to(here / "pics/train/dog", target_is_directory=True)
    with pytest.raises(DataError, match="Remove the links that lead in a circle"):
        read_pictures("pics")


def test_classes_alone_get_a_test_part_drawn_by_the_seed(here: Path):
    pictures(here / "flat", ("",), count=10)
    found = read_pictures("flat")
    assert (len(found.train), len(found.test)) == (16, 4)
    assert torch.bincount(found.test_labels).tolist() == [2, 2]
    assert found.notes == ("no test part: 4 of 20 pictures, a fifth of each class, were drawn for it (seed 0)",)
    assert read_pictures("flat").fingerprint() == found.fingerprint() != read_pictures("flat", seed=1).fingerprint()
    shutil.move(here / "flat", here / "other/train")
    assert read_pictures("other").fingerprint() == found.fingerprint()
    for path in (here / "other/train/dog").iterdir():
        if path.name != "1.png":
            path.unlink()
    with pytest.raises(DataError, match="the class dog has fewer than 2 pictures\n  Give each class 2 pictures"):
        read_pictures("other")


def test_one_class_alone(here: Path):
    picture(here / "flat/cat/0.png")
    with pytest.raises(DataError, match="two classes or more"):
        read_pictures("flat")


def test_names_of_classes_that_differ_by_case_alone(here: Path):
    pictures(here / "pics")
    (here / "pics/test/cat").rename(here / "pics/test/Cat")
    with pytest.raises(DataError, match=r"pics/test/Cat is a class that train lacks \(it has cat\)"):
        read_pictures("pics")
    picture(here / "pics/train/Cat/0.png", 50)
    assert "Cat and cat are classes of their own: merge the folders if they mean one" in read_pictures("pics").notes


def test_all_broken_files_are_named_at_once_and_no_address(here: Path):
    pictures(here / "pics")
    (here / "pics/train/cat/0.png").write_bytes(b"no picture")
    whole = (here / "pics/test/dog/1.png").read_bytes()
    (here / "pics/test/dog/1.png").write_bytes(whole[:-60])
    (here / "pics/test/dog/2.png").unlink()
    (here / "pics/test/dog/2.png").symlink_to(here / "gone.png")
    with pytest.raises(DataError, match=r"pics/test/dog/2\.png (is missing|cannot be read)"):
        read_pictures("pics")
    (here / "pics/test/dog/2.png").unlink()
    with pytest.raises(DataError) as error:
        read_pictures("pics")
    lines = str(error.value).splitlines()
    assert lines[0] == "pics/train/cat/0.png cannot be decoded: it holds no picture"
    assert lines[1].startswith("pics/test/dog/1.png cannot be decoded: ")
    assert "0x" not in str(error.value)


def test_every_mode_becomes_rgb_and_says_what_was_lost(here: Path):
    pictures(here / "pics")
    cats = here / "pics/train/cat"
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(grey).save(cats / "a16.png")
    Image.fromarray(np.full((8, 8, 4), (10, 20, 30, 0), np.uint8)).save(cats / "b-alpha.png")
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(cats / "c.jpg")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(cats / "d.gif", save_all=True, append_images=frames[1:])
    Image.new("1", (8, 8), 1).save(cats / "e.bmp")
    found = read_pictures("pics")
    assert set(found.notes) == {
        "1 picture of 16 bits: the upper 8 are kept",
        "1 picture with transparent pixels: they are laid on white",
        "1 picture of more than one frame: the first is read",
    }
    sixteen, alpha, cmyk = found.train[4:7]
    assert sixteen[0].flatten().tolist() == (grey >> 8).flatten().tolist()
    assert int(alpha.min()) == 255
    assert cmyk[0].max() < 60 < cmyk[1].min()
    Image.fromarray(np.zeros((8, 8), np.float32)).save(cats / "f.tiff")
    with pytest.raises(DataError, match=r"f\.tiff cannot be decoded: its pixels are floating-point numbers"):
        read_pictures("pics")


def test_pictures_of_many_sizes_are_scaled_on_demand(here: Path):
    picture(pictures(here / "pics") / "train/cat/large.png", 7, side=20)
    with pytest.raises(DataError, match=r"1 of 17 pictures are not 8 x 8.*\n  pics/train/cat/large\.png is 20 x 20\n"):
        read_pictures("pics")
    assert read_pictures("pics", size=8).shape == (3, 8, 8)


@pytest.mark.parametrize(
    "names",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")],
)
def test_arrays_of_a_file(here: Path, names: tuple[str, ...]):
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 256, (12, 6, 5)).astype(np.uint8), np.arange(12)[:, None] % 3
    np.savez("mine.npz", **dict(zip(names, (x[:9], y[:9], x[9:], y[9:]), strict=True)))
    found = read_pictures("mine.npz")
    assert (found.shape, found.classes, len(found.test)) == ((1, 6, 5), ("0", "1", "2"), 3)
    assert torch.equal(found.train[:, 0], torch.from_numpy(x[:9]))
    assert found.train_labels.tolist() == [0, 1, 2] * 3
    np.savez("mine.npz", **{names[0]: x})
    with pytest.raises(DataError, match=r"lacks y_train\n  Save it with numpy.savez"):
        read_pictures("mine.npz")
    np.savez("mine.npz", **{names[0]: np.array([None, 1]), names[1]: y})
    with pytest.raises(DataError, match="is no array of numbers"):
        read_pictures("mine.npz")


def test_series_are_pictures_of_one_row():
    x = np.random.default_rng(0).normal(50, 3, (20, 30))
    found = Pictures.from_arrays(x, ["rest", "walk"] * 10, x[:4] + 1, ["walk", "rest"] * 2)
    assert (found.shape, found.train.dtype, found.classes) == ((1, 1, 30), torch.float32, ("rest", "walk"))
    assert found.notes == (
        "train [20, 30] is read as series of one row: [n, C, H, W] = [20, 1, 1, 30]",
        "test [4, 30] is read as series of one row: [n, C, H, W] = [4, 1, 1, 30]",
    )
    assert Pictures.from_arrays(x.reshape(20, 3, 10), [0, 1] * 10).shape == (3, 1, 10)
    assert Pictures.from_arrays(torch.zeros(20, 9, 9, 3, dtype=torch.uint8), [5, 9] * 10).shape == (3, 9, 9)
    assert Pictures.from_arrays(x, [1.0, 0.0] * 10, classes=["no", "yes"]).classes == ("no", "yes")


SERIES = np.ones((4, 6))


@pytest.mark.parametrize(
    ("train", "labels", "text"),
    [
        (np.where(np.eye(4, 6), np.nan, 1.0), [0, 1] * 2, r"train: entry \[0, 0, 0, 0\] of \[n, C, H, W\] is nan"),
        (SERIES * np.inf, [0, 1] * 2, "is inf"),
        (SERIES * 1e39, [0, 1] * 2, "float32 ends at"),
        (SERIES.astype(complex), [0, 1] * 2, "train is of type complex128"),
        ([[1.0], [1.0, 2.0]], [0, 1], "train is no array"),
        (SERIES[0], [0, 1], r"train has the shape \[6\]"),
        (SERIES, [0, 1, 0], "4 pictures and 3 labels"),
        (SERIES, np.eye(4), r"of one-hot rows labels.argmax\(1\)"),
        (SERIES, [0.5, 1, 0, 1], "Give one whole number or name each"),
        (SERIES, [0, 0, 0, 0], "1 class\n"),
        (SERIES, [0, 1, 0, 0], "the class 1 has fewer than 2 pictures"),
    ],
)
def test_arrays_that_cannot_be_used(train: object, labels: object, text: str):
    with pytest.raises(DataError, match=text):
        Pictures.from_arrays(train, labels)


def test_a_label_of_test_that_train_lacks():
    with pytest.raises(DataError, match=r"test: label 1 is 7, the classes are 0, 1"):
        Pictures.from_arrays(SERIES, [0, 1] * 2, SERIES[:2], [1, 7])


def test_data_of_another_kind_are_told_what_takes_them(here: Path):
    pictures(here / "my pics")
    with pytest.raises(DataError, match="it looks like pictures\n  sif search cifar10 --data 'my pics'\n"):
        read("my pics")
    (here / "book.txt").write_text("a rose is a rose\n")
    with pytest.raises(DataError, match=r"it looks like text\n  sif search ptb --data book\.txt"):
        read("book.txt")
    with pytest.raises(DataError, match=r"holds no pictures; it looks like text\n  sif search ptb --data book\.txt"):
        read_pictures("book.txt")
    (here / "clicks.csv").write_text("user,item\n1,2\n")
    with pytest.raises(DataError, match=r"it looks like ratings\n  sif search clicks\.csv"):
        read_pictures("clicks.csv")
