"""Pictures: every format against its bytes, and the text of every error."""

import hashlib
import os
import re
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from picture_samples import CLASSES, idx, records, write_cifar10, write_cifar100, write_folders, write_idx

from sif.datasets import Pictures, find_entry, locate, read, read_pictures
from sif.datasets import bundle as bundles
from sif.errors import DataError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that error texts are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fails(text: str, source: str = "mine") -> None:
    with pytest.raises(DataError) as error:
        read_pictures(source)
    assert str(error.value) == text


def pack(source: Path, target: Path, inside: str = "wrapped") -> None:
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as opened:
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    opened.write(path, f"{inside}/{path.relative_to(source)}")
    else:
        with tarfile.open(target, "w:gz") as packed:
            packed.add(source, inside)


def same(one: Pictures, two: Pictures) -> None:
    assert one.fingerprint() == two.fingerprint()
    assert one.classes == two.classes
    assert torch.equal(one.test, two.test)


def test_cifar10(here: Path):
    *batches, test = write_cifar10(here / "mine")
    found = read_pictures("mine")
    train = np.concatenate(batches)
    assert found.classes == tuple(CLASSES)
    assert found.train.dtype == found.test.dtype == torch.uint8
    assert found.train_labels.tolist() == train[:, 0].tolist() == [0, 1] * 5
    assert found.test_labels.tolist() == [0, 1, 2, 0]
    assert found.train[3, 2, 31, 5] == train[3, 1 + 2 * 1024 + 31 * 32 + 5]  # blue, last row, sixth column
    assert torch.equal(found.test, torch.from_numpy(test[:, 1:].reshape(4, 3, 32, 32).copy()))
    assert (found.name, found.source, found.shape) == ("mine", "mine", (3, 32, 32))


def test_cifar100_takes_the_fine_label(here: Path):
    train, test = write_cifar100(here / "mine")
    found = read_pictures("mine")
    assert found.train_labels.tolist() == train[:, 1].tolist()
    assert found.test_labels.tolist() == [0, 1, 2]
    assert torch.equal(found.test, torch.from_numpy(test[:, 2:].reshape(3, 3, 32, 32).copy()))


@pytest.mark.parametrize("write", [write_cifar10, write_cifar100, write_idx, write_folders])
@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_an_archive_reads_as_its_folder(here: Path, write, suffix: str):
    write(here / "mine")
    pack(here / "mine", here / f"packed.{suffix}")
    before = sorted(here.rglob("*"))
    same(read_pictures("mine"), read_pictures(here / f"packed.{suffix}"))
    assert sorted(here.rglob("*")) == before


def test_an_archive_without_a_wrapping_folder(here: Path):
    write_cifar10(here / "mine")
    pack(here / "mine", here / "packed.tar", inside=".")
    same(read_pictures("mine"), read_pictures("packed.tar"))


@pytest.mark.parametrize("packed", [True, False])
def test_idx(here: Path, packed: bool):
    made = write_idx(here / "mine", packed)
    found = read_pictures("mine")
    assert found.shape == (1, 5, 4)
    assert found.classes == ("0", "1", "2")
    assert torch.equal(found.train[:, 0], torch.from_numpy(made["train-images-idx3-ubyte"]))
    assert found.test_labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("annotated", [True, False])
def test_folders(here: Path, annotated: bool):
    from PIL import Image

    write_folders(here / "mine", annotated=annotated)
    found = read_pictures("mine")
    assert found.classes == (("goldfish, carp", "bullfrog") if annotated else ("n01", "n02"))
    assert found.train_labels.tolist() == [0, 0, 1, 1]
    assert found.test_labels.tolist() == ([0, 1, 1] if annotated else [0, 1])
    assert found.shape == (3, 6, 8)
    with Image.open("mine/train/n01/images/n01_1.JPEG") as image:
        assert np.array_equal(found.train[1].permute(1, 2, 0), image)
    grey = found.train[3]  # n02_1 was written grey
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])


def test_describe_and_fingerprint(here: Path):
    write_cifar10(here / "mine")
    found = read_pictures("mine")
    assert found.describe() == {
        "name": "mine",
        "source": "mine",
        "notes": [],
        "train": 10,
        "test": 4,
        "shape": [3, 32, 32],
        "classes": 3,
        "class_names": CLASSES,
        "train_per_class": {"min": 0, "max": 5},
    }
    assert re.fullmatch("[0-9a-f]{16}", found.fingerprint())
    assert read_pictures(found) is found
    content = bytearray((here / "mine" / "test_batch.bin").read_bytes())
    content[-1] ^= 1
    (here / "mine" / "test_batch.bin").write_bytes(content)
    assert read_pictures("mine").fingerprint() != found.fingerprint()


def test_a_truncated_cifar_file(here: Path):
    write_cifar10(here / "mine")
    path = here / "mine" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-100])
    fails(
        "mine/data_batch_3.bin has 6046 bytes, not a multiple of 3073 (1 of label and 3072 of pixels a picture)\n"
        "  It is cut short or something else: fetch it again."
    )


def test_an_empty_cifar_file(here: Path):
    write_cifar100(here / "mine")
    (here / "mine" / "test.bin").write_bytes(b"")
    fails(
        "mine/test.bin has 0 bytes, not a multiple of 3074 (2 of label and 3072 of pixels a picture)\n"
        "  It is cut short or something else: fetch it again."
    )


@pytest.mark.parametrize(("count", "more"), [(1, ""), (3, " (and 2 more like it)")])
def test_a_label_without_a_class(here: Path, count: int, more: str):
    write_cifar10(here / "mine")
    content = records(4)
    content[1 : 1 + count, 0] = 3
    (here / "mine" / "test_batch.bin").write_bytes(content.tobytes())
    fails(
        f"mine/test_batch.bin: picture 2 has the label 3, the classes are 0 to 2{more}\n"
        "  The file is damaged or of another data set: fetch it again."
    )


def test_a_missing_part_of_cifar(here: Path):
    write_cifar10(here / "mine")
    for name in ("data_batch_2.bin", "batches.meta.txt"):
        (here / "mine" / name).unlink()
    fails("mine lacks data_batch_2.bin, batches.meta.txt\n  Put the missing in, or fetch and unpack the archive again.")


def test_no_names_of_classes(here: Path):
    write_cifar10(here / "mine")
    (here / "mine" / "batches.meta.txt").write_text("\n")
    fails("mine/batches.meta.txt names no classes\n  Fetch it again: one name a line.")


PICKLED = {
    "CIFAR-10": ["batches.meta", "data_batch_1", "data_batch_2", "test_batch", "readme.html"],
    "CIFAR-100": ["file.txt~", "meta", "test", "train"],
}


@pytest.mark.parametrize(("title", "names"), PICKLED.items())
@pytest.mark.parametrize("archive", [True, False])
def test_a_pickled_archive_is_refused_unread(here: Path, title: str, names: list[str], archive: bool):
    (here / "mine").mkdir()
    for name in names:
        (here / "mine" / name).write_bytes(b"cos\nsystem\n(S'touch broken'\ntR.")  # runs a command when unpickled
    if archive:
        pack(here / "mine", here / "python.tar.gz")
    source = "python.tar.gz" if archive else "mine"
    fails(
        f"{source} is the pickled version of {title}, which is never read: unpickling a file can run any code\n"
        f"  Get the binary version, https://www.cs.toronto.edu/~kriz/{title.lower()}-binary.tar.gz, and give that "
        "(as it is, or unpacked).",
        source,
    )
    assert not (here / "broken").exists()


def test_own_folders_with_a_file_called_meta_are_not_taken_for_pickles(here: Path):
    write_folders(here / "mine", annotated=False)
    (here / "mine" / "meta").write_text("made by hand")
    assert len(read_pictures("mine").train) == 4


def test_a_pickled_copy_below_the_root_is_named_when_nothing_else_is_there(here: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("sif.datasets.files.pooch.retrieve", refuse)
    (here / "cifar-10-batches-py").mkdir()
    with pytest.raises(DataError) as error:
        read_pictures("cifar10", Path())
    assert str(error.value) == (
        "CIFAR-10 is not on this machine, and fetching it failed: no network\n"
        "  Looked for cifar-10-batches-bin/test_batch.bin, cifar-10-binary.tar.gz, cifar-10-batches-py (there, but "
        "pickled: such a file is never read, as reading it can run any code).\n"
        "  Download https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz by hand and put cifar-10-binary.tar.gz "
        "into .; it is read from there."
    )


def test_a_damaged_archive(here: Path):
    write_cifar10(here / "mine")
    pack(here / "mine", here / "packed.tar.gz")
    content = (here / "packed.tar.gz").read_bytes()
    (here / "packed.tar.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(
        DataError, match=r"^packed\.tar\.gz is cut short or damaged: .*\n  Delete it and fetch it again"
    ):
        read_pictures("packed.tar.gz")
    pack(here / "mine", here / "packed.zip")
    content = bytearray((here / "packed.zip").read_bytes())
    content[2000] ^= 255
    (here / "packed.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"^packed\.zip is cut short or damaged: Bad CRC-32"):
        read_pictures("packed.zip")


def test_an_archive_of_too_much(here: Path, monkeypatch: pytest.MonkeyPatch):
    write_cifar10(here / "mine")
    pack(here / "mine", here / "packed.tar.gz")
    monkeypatch.setattr(bundles, "_MOST_BYTES", 40_000)
    fails("packed.tar.gz unpacks to more than 0 GiB\n  Unpack it and give the folder.", "packed.tar.gz")


def test_links_in_an_archive_are_not_followed(here: Path):
    write_cifar10(here / "mine")
    (here / "mine" / "test_batch.bin").unlink()
    with tarfile.open(here / "packed.tar", "w") as packed:
        packed.add(here / "mine", "cifar")
        link = tarfile.TarInfo("cifar/test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, str(here / "mine" / "data_batch_1.bin")
        packed.addfile(link)
    with pytest.raises(DataError, match=r"packed\.tar lacks test_batch\.bin"):
        read_pictures("packed.tar")


def test_a_file_that_is_no_archive(here: Path):
    (here / "mine.bin").write_bytes(b"x" * 3073)
    fails("mine.bin is neither a folder nor a zip or tar archive\n  Give the folder of the data.", "mine.bin")


def test_idx_of_another_type(here: Path):
    write_idx(here / "mine", train_images=struct.pack(">II", 0x0D01, 3) + b"\0" * 12)
    fails(
        "mine/train-images-idx3-ubyte.gz begins with 0x00000d01, an IDX file of pictures with 0x00000803\n"
        "  It is something else under this name: fetch it again."
    )


def test_idx_counts_that_differ(here: Path):
    write_idx(here / "mine", packed=False, t10k_labels=idx(np.zeros(4)))
    fails(
        "mine/t10k-labels-idx1-ubyte has 4 labels, mine/t10k-images-idx3-ubyte has 3 pictures\n"
        "  Put the files of one data set together, or fetch them again."
    )


def test_idx_cut_short(here: Path):
    write_idx(here / "mine", packed=False, train_images=idx(np.zeros((6, 5, 4)))[:-1])
    fails(
        "mine/train-images-idx3-ubyte has 135 bytes, its header speaks of 6 x 5 x 4 (136 bytes)\n"
        "  It is cut short or damaged: fetch it again."
    )


def test_idx_gzip_cut_short(here: Path):
    write_idx(here / "mine")
    path = here / "mine" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-6])
    fails(
        "mine/t10k-labels-idx1-ubyte.gz is cut short or damaged: "
        "Compressed file ended before the end-of-stream marker was reached\n  Fetch it again."
    )


def test_idx_missing_file(here: Path):
    write_idx(here / "mine")
    (here / "mine" / "train-labels-idx1-ubyte.gz").unlink()
    fails(
        "mine has neither train-labels-idx1-ubyte.gz nor train-labels-idx1-ubyte\n"
        "  Put one of them there: all four are needed."
    )


def test_idx_label_without_a_class(here: Path):
    write_idx(here / "mine", t10k_labels=idx(np.array([0, 7, 1])))
    fails(
        "mine/t10k-labels-idx1-ubyte.gz: picture 2 has the label 7, the classes are 0 to 2\n"
        "  The file is damaged or of another data set: fetch it again."
    )


def test_idx_parts_of_two_sizes(here: Path):
    write_idx(here / "mine", t10k_images=idx(np.zeros((3, 4, 4))))
    fails("mine: pictures of train are 5 x 4, those of t10k 4 x 4\n  Put the files of one data set together.")


def test_a_folder_without_classes(here: Path):
    (here / "mine" / "train").mkdir(parents=True)
    (here / "mine" / "train" / "one.jpg").write_bytes(b"")
    fails(
        "mine/train has 0 folders of pictures, and each class needs one\n"
        "  Lay the pictures out as train/<class>/*.jpg, with two classes or more."
    )


def test_a_class_without_pictures(here: Path):
    write_folders(here / "mine")
    (here / "mine" / "train" / "n00").mkdir()
    (here / "mine" / "train" / "n00" / "boxes.txt").write_text("")
    fails("mine/train/n00 has no pictures\n  Put .jpg or .png files there, or remove it.")


def test_folders_without_a_test_part(here: Path):
    write_folders(here / "mine")
    (here / "mine" / "val" / "val_annotations.txt").unlink()
    fails(
        "mine has no test part\n"
        "  Lay it out as test/<class>/*.jpg with the classes of train, or as val/images and val/val_annotations.txt."
    )


def test_a_class_of_test_that_train_lacks(here: Path):
    write_folders(here / "mine", annotated=False)
    (here / "mine" / "test" / "n01").rename(here / "mine" / "test" / "n09")
    fails("mine/test/n09 is a class that train lacks\n  Rename the folder, or remove it.")


@pytest.mark.parametrize(
    ("line", "what"), [("a.JPEG\tn07\t0", '"n07", which is no folder of train'), ("a.JPEG", "missing")]
)
def test_an_annotation_of_no_class(here: Path, line: str, what: str):
    write_folders(here / "mine")
    path = here / "mine" / "val" / "val_annotations.txt"
    path.write_text(path.read_text() + line + "\n")
    fails(
        f"mine/val/val_annotations.txt, line 4: the class of a.JPEG is {what}\n"
        "  Mend the line, or fetch the data set again."
    )


def test_no_annotations(here: Path):
    write_folders(here / "mine")
    (here / "mine" / "val" / "val_annotations.txt").write_text("\n")
    fails("mine/val/val_annotations.txt is empty\n  Fetch it again: file and class, with tabs between.")


def test_a_picture_that_annotations_name_and_none_has(here: Path):
    write_folders(here / "mine")
    (here / "mine" / "val" / "images" / "val_1.JPEG").unlink()
    fails("mine/val/images/val_1.JPEG is missing\n  Put it there, or fetch the data set again: all is needed.")


def test_a_picture_that_cannot_be_decoded(here: Path):
    write_folders(here / "mine")
    path = here / "mine" / "train" / "n02" / "images" / "n02_0.JPEG"
    path.write_bytes(b"no picture")
    with pytest.raises(
        DataError, match=r"^mine/train/n02/images/n02_0\.JPEG cannot be decoded: .*\n  Fetch or write it"
    ):
        read_pictures("mine")


def test_pictures_of_two_sizes(here: Path):
    write_folders(here / "mine", sizes=((6, 8), (8, 6)))
    fails(
        "mine: 2 of 7 pictures are not 6 x 8 as most are\n"
        "  mine/train/n01/images/n01_1.JPEG is 8 x 6\n  mine/train/n02/images/n02_1.JPEG is 8 x 6\n"
        "  Scale all to one size: --set pictures.size=6 does it as they are read."
    )


def test_without_pillow(here: Path, monkeypatch: pytest.MonkeyPatch):
    write_folders(here / "mine")
    monkeypatch.setitem(sys.modules, "PIL", None)
    fails(
        "mine holds JPEG or PNG pictures, and Pillow, which decodes them, is not installed\n"
        "  pip install 'sif-nas[images]'"
    )


def test_nothing_known(here: Path):
    (here / "mine").mkdir()
    fails(
        "mine holds no pictures in a form that is known here\n"
        "  Give CIFAR's binary version, the IDX files of MNIST or Fashion-MNIST, a folder with train/<class>/*.jpg "
        "and test/<class>/*.jpg (or <class>/*.jpg alone), or an .npz with x_train, y_train, x_test and y_test."
    )


def test_no_such_path(here: Path):
    known = "cifar10, cifar100, fashion-mnist, tiny-imagenet"
    fails(
        "data/mine cannot be read: there is no such file or folder\n"
        f"  Give the path of a folder or an archive, or one of {known}.",
        "data/mine",
    )
    fails(f'no data set is called "cifar9"\n  Did you mean cifar10? Known: {known}.', "cifar9")


def test_a_part_of_the_data_set_does_not_pass_for_it(here: Path):
    write_cifar10(here / "cifar-10-batches-bin")
    fails(
        "cifar-10-batches-bin is not CIFAR-10: it has 10 training and 4 test pictures of 3 x 32 x 32 in 3 classes, the "
        "data set has 50000 and 10000 of 3 x 32 x 32 in 10\n"
        "  Fetch https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz again; data of your own reads from a folder "
        "of another name.",
        "cifar-10-batches-bin",
    )


@pytest.mark.parametrize("source", ["cifar10", "cifar-10-batches-bin"])
def test_ratings_are_not_read_from_pictures(here: Path, source: str):
    write_cifar10(here / "cifar-10-batches-bin")
    with pytest.raises(DataError, match=r"^cifar10 \(CIFAR-10\) holds pictures, not ratings\n  Give movielens-100k, "):
        read(source)


def test_the_type_checks_itself():
    good = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    labels = torch.zeros(2, dtype=torch.int64)
    for train, train_labels, test, text in (
        (good.int(), labels, good, r"p: train is torch.int32 \[2, 1, 4, 4\], pictures are uint8 or float32 \[n, C"),
        (good.float(), labels, good, r"p: train has torch.float32 \[1, 4, 4\], test torch.uint8 \[1, 4, 4\]"),
        (good / 0, labels, good.float(), r"p: train\[0, 0, 0, 0\] is nan\n  Put a finite number there"),
        (good[:0], labels[:0], good, r"p: train is torch.uint8 \[0, 1, 4, 4\], pictures are"),
        (good, labels[:1], good, r"p: the labels of train are torch.int64 \[1\], 2 pictures need int64 \[2\]"),
        (good, labels - 1, good, "p: train has the label -1, the classes are 0 to 0"),
        (good, labels + 1, good, "p: train has the label 1, the classes are 0 to 0"),
        (good, labels, good[..., :3], r"p: train has torch.uint8 \[1, 4, 4\], test torch.uint8 \[1, 4, 3\]"),
    ):
        with pytest.raises(DataError, match=text):
            Pictures("p", ("a",), train, train_labels, test, labels)


def test_a_copy_with_other_bytes_is_noted(here: Path):
    write_cifar10(here / "mine")
    entry = find_entry("cifar10")
    size = entry.size.model_copy(update={"train": 10, "test": 4, "classes": 3})
    digests = {
        name: hashlib.sha256((here / "mine" / name).read_bytes()).hexdigest()
        for name in ("data_batch_4.bin", "test_batch.bin")
    }
    known = entry.model_copy(update={"size": size, "members": digests})
    with bundles.Bundle(here / "mine") as bundle:
        assert bundles.altered(bundle, known) == ()
        changed = known.model_copy(update={"members": digests | {"test_batch.bin": "0" * 64}})
        assert bundles.altered(bundle, changed) == (
            "not the published CIFAR-10 (test_batch.bin differs from it): figures from this copy do not compare with "
            "published ones",
        )
        assert "(data_batch_1.bin, data_batch_2.bin, data_batch_3.bin" in bundles.altered(bundle, entry)[0]


def test_the_copy_of_debian(here: Path):
    """The folder of the package counts as a copy, but one below the root comes first."""
    entry = find_entry("fashion-mnist").model_copy(update={"packaged": str(here / "packaged")})
    assert locate(entry, here) is None
    write_idx(here / "packaged")
    assert locate(entry, here) == here / "packaged"
    write_idx(here / "fashion-mnist", packed=False)
    assert locate(entry, here) == here / "fashion-mnist"


def real(name: str) -> Pictures:
    root = Path(os.environ["SIF_DATA"]) if os.environ.get("SIF_DATA") else None
    if locate(find_entry(name), root) is None:
        pytest.skip(f"{name} is not below SIF_DATA: `sif datasets fetch {name}`")
    return read_pictures(name, root)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "train", "test", "shape"),
    [("cifar10", 50_000, 10_000, (3, 32, 32)), ("fashion-mnist", 60_000, 10_000, (1, 28, 28))],
)
def test_the_published_pictures(name: str, train: int, test: int, shape: tuple[int, ...]):
    found = real(name)
    assert (len(found.train), len(found.test), found.shape) == (train, test, shape)
    assert torch.bincount(found.train_labels).tolist() == [train // 10] * 10
    assert torch.bincount(found.test_labels).tolist() == [test // 10] * 10


@pytest.mark.realdata
def test_cifar10_has_the_published_moments_unless_it_says_that_it_is_another():
    found = real("cifar10")
    mean = (found.train.double().mean((0, 2, 3)) / 255).tolist()
    published = pytest.approx([0.49139968, 0.48215841, 0.44653091], abs=1e-6)
    assert mean == published or "not the published CIFAR-10" in found.notes[0]


@pytest.mark.realdata
def test_fashion_mnist_looks_as_it_should():
    """Its mean grey is the published 0.2860, and trousers are dark on the left and right edge."""
    found = real("fashion-mnist")
    assert float(found.train.double().mean() / 255) == pytest.approx(0.2860, abs=5e-5)
    assert found.classes[1] == "Trouser"
    trousers = found.train[found.train_labels == 1].double().mean((0, 1))
    assert trousers[:, 14].mean() > 10 * trousers[:, 0].mean()
