"""Files by hand, in every state that a person's downloads are in."""

import hashlib
import json
import os
import shutil
import zipfile

import pytest

from nidbench.errors import DataError
from nidbench.files import by_hand
from nidbench.files.cache import destination, state, verify
from nidbench.files.remote import RemoteFile

CONTENTS = {"a/1.png": bytes(range(256)) * 5, "a/2.png": b"second" * 99, "b/1.png": b"first of another folder" * 9}


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    return [
        RemoteFile("toy", path, f"https://example.org/{path}", hashlib.sha256(content).hexdigest(), len(content))
        for path, content in CONTENTS.items()
    ]


@pytest.fixture
def downloads(tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


def pack(path, contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(f"master/{name}", content)
    return path


def states(wanted):
    return [state for _, state in verify(wanted)]


def left_over(wanted):
    cache = destination(wanted[0]).parents[1]
    return [path.name for path in cache.rglob("*") if path.is_file() and path.name.startswith(".")]


def test_a_file_is_known_by_its_bytes_whatever_its_name(wanted, downloads):
    path = downloads / "image (1).dat"
    path.write_bytes(CONTENTS["a/2.png"])
    provided = by_hand.provide(wanted, [path])
    assert provided.taken == {wanted[1]: str(path)}
    assert provided.refused == {}
    assert states(wanted) == ["missing", "ok", "missing"]
    assert destination(wanted[1]).stat().st_mode & 0o777 == 0o644
    assert path.exists()


def test_a_folder_is_searched_and_an_archive_looked_into(wanted, downloads):
    (downloads / "deep").mkdir()
    (downloads / "deep" / "x").write_bytes(CONTENTS["a/1.png"])
    (downloads / "notes.txt").write_text("not asked about")
    pack(downloads / "repository.zip", {name: CONTENTS[name] for name in ("a/2.png", "b/1.png")} | {"README": b"hello"})
    provided = by_hand.provide(wanted, [downloads])
    assert set(provided.taken) == set(wanted)
    assert provided.refused == {}  # neither notes, nor one 1.png for not being the other
    assert states(wanted) == ["ok"] * 3
    assert left_over(wanted) == []
    assert by_hand.provide(wanted, [downloads]).taken == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENTS["a/2.png"][:-5], "589 bytes, not 594: it is cut off or another version"),
        (CONTENTS["a/2.png"] + b"x", "595 bytes, not 594: it is another version"),
        (CONTENTS["a/2.png"][:-1] + b"x", "the name and size of toy/a/2.png, but another SHA-256"),
    ],
    ids=["cut", "longer", "altered"],
)
def test_the_right_name_with_the_wrong_bytes_is_told(wanted, downloads, content, reason):
    path = downloads / "2.png"
    path.write_bytes(content)
    provided = by_hand.provide(wanted, [path])
    assert provided.taken == {}
    assert reason in provided.refused[str(path)]
    assert states(wanted) == ["missing"] * 3


def test_what_is_not_asked_for_is_told_where_it_was_given_by_name(wanted, downloads):
    (downloads / "holiday.jpg").write_bytes(b"sun")
    other = pack(downloads / "other.zip", {"x": b"y"})
    provided = by_hand.provide(wanted, [downloads / "holiday.jpg", other])
    assert provided.refused == {
        str(downloads / "holiday.jpg"): "is none of the wanted files, by its hash",
        str(other): "holds none of the wanted files, by their hashes",
    }
    assert by_hand.provide(wanted, [downloads]).refused == {}


def test_a_cut_archive_gives_nothing(wanted, downloads):
    path = pack(downloads / "whole.zip", CONTENTS)
    cut = downloads / "cut.zip"
    cut.write_bytes(path.read_bytes()[:-40])
    assert by_hand.provide(wanted, [cut]).refused == {str(cut): "is a damaged zip archive: download it again"}
    assert states(wanted) == ["missing"] * 3


def test_a_damaged_member_leaves_the_others(wanted, downloads):
    path = pack(downloads / "damaged.zip", CONTENTS)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("master/a/1.png").header_offset
    content = bytearray(path.read_bytes())
    content[start + 60] ^= 0xFF  # in the member's compressed bytes
    path.write_bytes(content)
    provided = by_hand.provide(wanted, [path])
    assert set(provided.taken) == set(wanted[1:])
    assert "cannot be unpacked" in provided.refused[f"{path}: master/a/1.png"]
    assert states(wanted) == ["missing", "ok", "ok"]


def test_an_archive_that_is_wanted_itself_is_not_unpacked(wanted, downloads):
    path = pack(downloads / "all.zip", CONTENTS)
    whole = RemoteFile("toy", "all.zip", "", hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    assert set(by_hand.provide([*wanted, whole], [path]).taken) == {whole}


def test_an_altered_file_in_place_is_replaced_and_a_whole_one_left(wanted, downloads):
    for file, content in zip(wanted[:2], (b"altered", CONTENTS["a/2.png"]), strict=True):
        destination(file).parent.mkdir(parents=True, exist_ok=True)
        destination(file).write_bytes(content)
    kept = destination(wanted[1]).stat().st_ino
    provided = by_hand.provide(wanted, [pack(downloads / "all.zip", CONTENTS)])
    assert set(provided.taken) == {wanted[0], wanted[2]}
    assert states(wanted) == ["ok"] * 3
    assert destination(wanted[1]).stat().st_ino == kept


def test_a_full_disk_leaves_nothing_half_copied(downloads, on_small_disk):
    contents = {f"{i}.png": bytes([i]) * 100_000 for i in range(4)}
    code = """
        import hashlib, json, os, pathlib, sys
        from nidbench.files.remote import RemoteFile
        from nidbench.files.cache import destination, state, verify
        from nidbench.files import by_hand
        from nidbench.errors import DataError
        os.environ["NIDBENCH_DATA"] = sys.argv[1]
        wanted = [
            RemoteFile("toy", f"{i}.png", "", hashlib.sha256(bytes([i]) * 100_000).hexdigest(), 100_000)
            for i in range(4)
        ]
        try:
            by_hand.provide(wanted, [pathlib.Path(sys.argv[2])])
        except DataError as error:
            left = sorted(path.name for path in pathlib.Path(sys.argv[1]).rglob("*") if path.is_file())
            print(json.dumps([str(error), [state for _, state in verify(wanted)], left]))
    """
    error, states, left = json.loads(on_small_disk(code, 256, pack(downloads / "all.zip", contents)))
    assert "toy/2.png: cannot write " in error
    assert "No space left" in error
    assert "NIDBENCH_DATA" in error
    assert states == ["ok", "ok", "missing", "missing"]
    assert left == ["0.png", "1.png"]


def known_by_md5(path, content):
    return RemoteFile("toy", path, "http://h/frames.zip", "", 0, md5=hashlib.md5(content).hexdigest())


def test_an_archive_known_by_its_md5_is_taken_whole_from_wherever_it_is(wanted, downloads):
    path = pack(downloads / "frames (1).ZIP", {"x": b"y"})
    frames = known_by_md5("frames.zip", path.read_bytes())
    assert by_hand.provide([*wanted, frames], [downloads]).taken == {frames: str(path)}
    assert state(frames) == "ok"
    assert by_hand.provide([*wanted, frames], [path]).refused == {}


def test_another_archive_of_that_name_is_refused_and_not_looked_into(wanted, downloads):
    path = pack(downloads / "frames.zip", CONTENTS)
    frames = known_by_md5("frames.zip", b"another")
    provided = by_hand.provide([*wanted, frames], [path])
    assert provided.taken == {}
    assert f"has the name of toy/frames.zip, but not its MD5 {frames.md5}" in provided.refused[str(path)]


def test_what_does_not_exist_is_refused(wanted, downloads):
    shutil.rmtree(downloads)
    with pytest.raises(DataError, match="downloads does not exist: give files"):
        by_hand.provide(wanted, [downloads])


def damage_central_directory(content):
    at = content.rindex(b"PK\x01\x02")
    return content[:at] + b"PK\x09\x09" + content[at + 4 :]


def lie_of_zip64(content):
    """The end of the central directory says that a zip64 record says more, and there is none."""
    at = content.rindex(b"PK\x05\x06")
    return content[: at + 12] + b"\xff" * 8 + content[at + 20 :]


def unknown_compression(content):
    for mark, at in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        place = content.index(mark) + at
        content = content[:place] + b"\x63\x00" + content[place + 2 :]
    return content


def encrypted(content):
    for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = content.index(mark) + at
        content = content[:place] + b"\x01\x00" + content[place + 2 :]
    return content


def beyond_its_end(content):
    """The member's header is said to lie where nothing is."""
    at = content.index(b"PK\x01\x02") + 42
    return content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :]


@pytest.mark.parametrize(
    "spoil", [damage_central_directory, lie_of_zip64, unknown_compression, encrypted, beyond_its_end]
)
def test_a_damaged_archive_is_refused_in_words(wanted, downloads, spoil):
    path = pack(downloads / "whole.zip", {"a/2.png": CONTENTS["a/2.png"]})
    path.write_bytes(spoil(path.read_bytes()))
    provided = by_hand.provide(wanted, [path])
    assert provided.taken == {}
    (reason,) = provided.refused.values()
    assert "download" in reason
    assert states(wanted) == ["missing"] * 3
    assert left_over(wanted) == []


def test_what_is_no_file_is_refused_and_not_waited_for(wanted, downloads):
    os.mkfifo(downloads / "pipe")
    provided = by_hand.provide(wanted, [downloads / "pipe"])
    assert provided.refused == {str(downloads / "pipe"): "is neither a file nor a folder, but a pipe or a device"}
    assert by_hand.provide(wanted, [downloads]).refused == {}


def blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def known_by_git(tmp_path, monkeypatch):
    """A file of which only the git blob and a least size are known."""
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    content = CONTENTS["a/1.png"]
    return RemoteFile("toy", "large.mat", "https://example.org/large.mat", "", 0, git_blob=blob(content), least=1000)


def test_a_file_is_known_by_its_git_blob(known_by_git, downloads):
    path = downloads / "renamed"
    path.write_bytes(CONTENTS["a/1.png"])
    assert by_hand.provide([known_by_git], [path]).taken == {known_by_git: str(path)}
    assert state(known_by_git) == "ok"
    destination(known_by_git).write_bytes(CONTENTS["a/1.png"][:-1] + b"x")
    assert state(known_by_git) == "altered"


def test_a_short_file_of_the_same_git_blob_is_the_pointer_to_it(known_by_git, downloads):
    pointer = b"version https://git-lfs.github.com/spec/v1\n"
    file = RemoteFile("toy", "large.mat", known_by_git.url, "", 0, git_blob=blob(pointer), least=1000)
    path = downloads / "large.mat"
    path.write_bytes(pointer)
    provided = by_hand.provide([file], [path])
    assert not provided.taken
    assert "not its at least 1000 bytes, git blob id" in provided.refused[str(path)]
    destination(file).parent.mkdir(parents=True, exist_ok=True)
    destination(file).write_bytes(pointer)
    assert state(file) == "altered"
