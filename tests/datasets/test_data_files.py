"""Finding, fetching and unpacking; the network here is a loopback server, and no data set is real."""

import hashlib
import http.server
import importlib.util
import io
import re
import threading
import zipfile

import pytest

from sif.datasets import fetch, files, find_entry, item_titles, locate, read
from sif.errors import DataError

RATINGS = "".join(f"{i % 4 + 1}\t{i % 5 + 1}\t{i % 5 + 1}\t{881250949 + i}\n" for i in range(20))
TITLES = "".join(f"{i}|Amélie {i} (2001)|01-Jan-2001||url|0\n" for i in range(1, 6)).encode("latin-1")


def archive(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name, content in (members or {"ml-100k/u.data": RATINGS, "ml-100k/u.item": TITLES}).items():
            opened.writestr(name, content)
    return packed.getvalue()


@pytest.fixture(autouse=True)
def no_recbole(monkeypatch):
    """RecBole counts as absent unless a test puts it there."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "recbole" else found(name, *rest)
    )


@pytest.fixture
def server(monkeypatch):
    """A function that serves bytes (or a status) at a URL, and counts the requests."""
    state = {"body": b"", "status": 200, "length": None, "requests": 0, "together": None}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state["requests"] += 1
            if state["together"] is not None:
                state["together"].wait(20)
            self.send_response(state["status"])
            self.send_header("Content-Length", str(state["length"] or len(state["body"])))
            self.end_headers()
            self.wfile.write(state["body"])

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    state["url"] = f"http://127.0.0.1:{running.server_port}/ml-100k.zip"
    yield state
    running.shutdown()
    running.server_close()


def entry_for(url="http://127.0.0.1:1/ml-100k.zip", content=None, **changes):
    sha256 = hashlib.sha256(content if content is not None else archive()).hexdigest()
    changes = {"url": url, "sha256": sha256, "size": None} | changes
    return find_entry("movielens").model_copy(update=changes)


def leftovers(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_download_unpack_read(server, tmp_path):
    server["body"] = archive()
    entry = entry_for(server["url"])
    assert locate(entry, tmp_path) is None
    data = read(entry, root=tmp_path)
    assert (len(data), data.n_users, data.name) == (20, 4, "movielens-100k")
    assert leftovers(tmp_path) == ["ml-100k.zip", "ml-100k/u.data", "ml-100k/u.item"]
    assert fetch(entry, tmp_path) == tmp_path / "ml-100k"
    assert server["requests"] == 1
    assert item_titles(entry, tmp_path)[2] == "Amélie 2 (2001)"


def test_the_archive_put_there_by_hand_is_used(tmp_path):
    (tmp_path / "ml-100k.zip").write_bytes(archive())
    entry = entry_for()
    assert locate(entry, tmp_path) == tmp_path / "ml-100k.zip"
    assert item_titles(entry, tmp_path) is None
    assert len(read(entry, root=tmp_path)) == 20
    assert locate(entry, tmp_path) == tmp_path / "ml-100k"


def test_order_official_then_recbole(tmp_path, monkeypatch):
    package = tmp_path / "site" / "recbole"
    copy = package / "dataset_example" / "ml-100k"
    copy.mkdir(parents=True)
    content = ("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + RATINGS).encode()
    (copy / "ml-100k.inter").write_bytes(content)
    (copy / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\n1\tHeat\t1995\n2\tUp\t\n"
    )

    class Spec:
        submodule_search_locations = (str(package),)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: Spec)
    entry = entry_for()
    assert locate(entry, tmp_path) is None  # the content is not the copy that is known
    known = entry.recbole.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
    entry = entry_for(recbole=known)
    assert locate(entry, tmp_path) == copy
    assert item_titles(entry, tmp_path) == {1: "Heat (1995)", 2: "Up"}
    from_recbole = read(entry, root=tmp_path)
    (tmp_path / "ml-100k.zip").write_bytes(archive())
    assert fetch(entry, tmp_path) == tmp_path / "ml-100k"
    assert read(entry, root=tmp_path).fingerprint() == from_recbole.fingerprint()


def test_nothing_reachable_says_what_to_do(server, tmp_path):
    server["status"] = 404
    with pytest.raises(DataError) as error:
        fetch(entry_for(server["url"]), tmp_path)
    lines = str(error.value).splitlines()
    assert lines[0].startswith("MovieLens 100K is not on this machine, and fetching it failed: 404 Client Error")
    assert lines[1:] == [
        f"  Looked for {tmp_path}/ml-100k/u.data, {tmp_path}/ml-100k.zip, the copy in RecBole (not installed, or "
        "without its example data).",
        f"  Download {server['url']} by hand and put ml-100k.zip into {tmp_path}; it is unpacked from there. "
        "Or install RecBole, which brings a copy: pip install 'sif-nas[recbole]'.",
    ]
    assert leftovers(tmp_path) == []


def test_no_connection(tmp_path):
    with pytest.raises(DataError, match=r"MovieLens 100K is not on this machine, and fetching it failed: .*refused"):
        fetch(entry_for(), tmp_path)


@pytest.mark.parametrize("body", [archive()[:-30], b"<html>captive portal</html>"])
def test_a_wrong_download_leaves_nothing(server, tmp_path, body):
    server["body"] = body
    with pytest.raises(DataError, match=r"fetching it failed: .*does not match the known hash"):
        fetch(entry_for(server["url"]), tmp_path)
    assert leftovers(tmp_path) == []


def test_a_cut_connection_leaves_nothing(server, tmp_path):
    server["body"], server["length"] = archive()[:100], len(archive())
    with pytest.raises(DataError, match="fetching it failed"):
        fetch(entry_for(server["url"], sha256=None), tmp_path)
    assert leftovers(tmp_path) == []


def test_without_a_checksum_a_page_is_not_taken_for_an_archive(server, tmp_path):
    server["body"] = b"<html>captive portal</html>"
    with pytest.raises(DataError, match="fetching it failed: what came is not a zip archive"):
        fetch(entry_for(server["url"], sha256=None), tmp_path)
    assert leftovers(tmp_path) == []


def test_a_broken_archive_is_named_and_replaced(server, tmp_path):
    (tmp_path / "ml-100k.zip").write_bytes(archive()[:-30])
    server["status"] = 500
    entry = entry_for(server["url"])
    with pytest.raises(
        DataError, match=re.escape("ml-100k.zip (there, but cut short or changed: its checksum is wrong)")
    ):
        fetch(entry, tmp_path)
    server["status"], server["body"] = 200, archive()
    assert (fetch(entry, tmp_path) / "u.data").read_text() == RATINGS


def test_an_archive_cannot_write_outside_its_folder(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    content = archive(**{"../../u.data": RATINGS, "/etc/evil": "x", "../escape.txt": "x"})
    (root / "ml-100k.zip").write_bytes(content)
    fetch(entry_for(content=content), root)
    assert leftovers(tmp_path) == ["root/ml-100k.zip", "root/ml-100k/u.data"]


def test_an_archive_of_something_else(tmp_path):
    content = archive(**{"readme.txt": "x"})
    (tmp_path / "ml-100k.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"ml-100k\.zip holds no u\.data\n  Delete it, and fetch http"):
        fetch(entry_for(content=content), tmp_path)


def test_a_damaged_member_is_not_left_as_if_whole(tmp_path):
    content = bytearray(archive())
    place = content.index(b"881250949")
    content[place] ^= 1
    (tmp_path / "ml-100k.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"ml-100k\.zip cannot be unpacked: Bad CRC-32"):
        fetch(entry_for(content=bytes(content)), tmp_path)
    assert leftovers(tmp_path) == ["ml-100k.zip", "ml-100k/u.item"]


def test_a_copy_of_another_size_is_refused(tmp_path):
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "u.data").write_text(RATINGS)
    with pytest.raises(DataError) as error:
        read("movielens", root=tmp_path)
    assert (
        str(error.value)
        .splitlines()[0]
        .endswith(
            "ml-100k/u.data is not MovieLens 100K: it has 4 users, 5 items and 20 interactions, "
            "the data set has 943, 1682 and 100000"
        )
    )


@pytest.mark.parametrize(
    ("name", "ratings", "titles"),
    [
        ("ml-1m", RATINGS.replace("\t", "::"), "1::Léon: The Professional (1994)::Crime|Drama\n"),
        ("ml-latest-small", "userId,movieId,rating,timestamp\n" + RATINGS.replace("\t", ","),
         'movieId,title,genres\n1,"Léon: The Professional, (1994)",Crime\n'),
    ],
)  # fmt: skip
def test_the_other_formats(tmp_path, name, ratings, titles):
    entry = find_entry(name).model_copy(update={"size": None})
    folder = tmp_path / entry.folder
    folder.mkdir()
    (folder / entry.ratings.file).write_text(ratings)
    (folder / entry.titles.file).write_text(titles, encoding=entry.titles.encoding)
    data = read(entry, root=tmp_path)
    assert (len(data), data.timestamp[0], data.items.to_list()) == (20, 881250949, [1, 2, 3, 4, 5])
    assert item_titles(entry, tmp_path)[1].startswith("Léon: The Professional")
    assert item_titles(folder / entry.ratings.file) == item_titles(entry, tmp_path)
    if entry.folder == "ml-latest-small":
        assert read(folder).fingerprint() == data.fingerprint()


def test_titles_of_data_of_ones_own(tmp_path):
    assert item_titles(tmp_path / "ratings.csv") is None


def test_the_data_root_is_the_users_cache(tmp_path):
    assert files.data_root(tmp_path) == tmp_path
    assert files.data_root().name == "sif"


def single_files(url, body, **changes):
    """The Penn Treebank, with files that the server has."""
    known = find_entry("ptb")
    named = [part.model_copy(update={"sha256": hashlib.sha256(body).hexdigest()}) for part in known.files]
    return known.model_copy(update={"url": url.removesuffix("ml-100k.zip"), "files": tuple(named)} | changes)


def test_files_that_lie_singly(server, tmp_path):
    server["body"] = b"a text\n"
    entry = single_files(server["url"], b"a text\n")
    assert [wanted.file for wanted in entry.downloads][-1] == entry.marker == "ptb.train.txt"
    assert fetch(entry, tmp_path) == locate(entry, tmp_path) == tmp_path / "ptb"
    assert leftovers(tmp_path) == ["ptb/ptb.test.txt", "ptb/ptb.train.txt", "ptb/ptb.valid.txt"]
    assert (fetch(entry, tmp_path), server["requests"]) == (tmp_path / "ptb", 3)


def test_a_wrong_single_file_leaves_nothing_and_says_what_to_do(server, tmp_path):
    server["body"] = b"<html>captive portal</html>"
    entry = single_files(server["url"], b"a text\n")
    with pytest.raises(DataError, match="does not match the known hash") as error:
        fetch(entry, tmp_path)
    assert str(error.value).splitlines()[1:] == [
        f"  Looked for {tmp_path}/ptb/ptb.train.txt.",
        f"  Download {entry.url} by hand and put ptb.valid.txt, ptb.test.txt, ptb.train.txt into {tmp_path}/ptb.",
    ]
    assert leftovers(tmp_path) == []
    assert locate(entry, tmp_path) is None


def test_an_archive_that_is_read_as_it_is(server, tmp_path):
    server["body"] = archive(**{"wikitext-2/wiki.train.tokens": "a"})
    sha256 = hashlib.sha256(server["body"]).hexdigest()
    entry = find_entry("wikitext-2").model_copy(update={"url": server["url"], "sha256": sha256})
    assert fetch(entry, tmp_path) == locate(entry, tmp_path) == tmp_path / "wikitext-2-v1.zip"
    assert leftovers(tmp_path) == ["wikitext-2-v1.zip"]


def test_an_md5_is_a_checksum_too(server, tmp_path):
    server["body"] = archive()
    known = find_entry("wikitext-2").model_copy(update={"url": server["url"], "sha256": None, "md5": "0" * 32})
    with pytest.raises(DataError, match="does not match the known hash"):
        fetch(known, tmp_path)
    right = known.model_copy(update={"md5": hashlib.md5(server["body"]).hexdigest()})
    assert fetch(right, tmp_path) == tmp_path / "wikitext-2-v1.zip"


def test_the_package_of_the_distribution_is_named(tmp_path):
    entry = find_entry("fashion-mnist").model_copy(update={"url": "http://127.0.0.1:1/", "packaged": "/nowhere"})
    with pytest.raises(DataError) as error:
        fetch(entry, tmp_path)
    assert str(error.value).endswith(
        "Or install the package that brings /nowhere (Debian, Ubuntu: dataset-fashion-mnist)."
    )


@pytest.mark.parametrize("checked", [True, False])
def test_two_that_fetch_at_once_both_end_with_whole_files(server, tmp_path, checked):
    """Every request waits for the other one, so that both write at the same time; one of them then unpacks again."""
    server["body"] = archive()
    server["together"] = threading.Barrier(2)
    entry = entry_for(server["url"], **({} if checked else {"sha256": None}))
    found = []
    at_once = [threading.Thread(target=lambda: found.append(read(entry, root=tmp_path))) for _ in range(2)]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join(30)
    assert [len(data) for data in found] == [20, 20]
    assert found[0].fingerprint() == found[1].fingerprint()
    assert leftovers(tmp_path) == ["ml-100k.zip", "ml-100k/u.data", "ml-100k/u.item"]
    assert {oct(path.stat().st_mode & 0o444) for path in tmp_path.rglob("*") if path.is_file()} == {"0o444"}


def test_a_failed_fetch_leaves_the_file_of_another_process_alone(server, tmp_path):
    server["body"] = b"<html>captive portal</html>"
    entry = entry_for(server["url"], sha256=None)
    (tmp_path / "ml-100k.zip").write_bytes(b"half of what another process")
    with pytest.raises(DataError, match="what came is not a zip archive"):
        fetch(entry, tmp_path)
    assert leftovers(tmp_path) == ["ml-100k.zip"]
