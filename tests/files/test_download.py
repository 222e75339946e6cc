"""The real downloader, against a real server on a temporary folder."""

import hashlib
import json
import logging.handlers
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from nidbench.errors import DataError
from nidbench.files.cache import cache_folder, destination, local, state, verify
from nidbench.files.download import DOWNLOADS, fetch, fetch_all, get, sources
from nidbench.files.remote import RemoteFile, read_manifest

CONTENT = bytes(range(256)) * 40
OTHER = bytes(reversed(CONTENT))  # the same size


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; `short.bin` is cut off halfway through, while its length is announced in full.

    A name with `silent` in it is hung up on.
    """

    def do_GET(self):
        self.server.requests.append(self.path)
        if "silent" in self.path:
            self.close_connection = True
            return None
        if not self.path.endswith("short.bin"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2])
        self.close_connection = True
        return None

    def log_message(self, format, *args):  # noqa: A002, ARG002 - the name is the base class's
        return


class Server(ThreadingHTTPServer):
    daemon_threads = False  # joined when it closes
    request_queue_size = 50

    def __init__(self, folder):
        self.folder = folder
        self.requests = []
        super().__init__(("127.0.0.1", 0), Handler)

    def finish_request(self, request, client_address):
        Handler(request, client_address, self, directory=self.folder)


def remote(name, content=CONTENT):
    return RemoteFile(
        "toy", name, f"https://example.org/data/{name}", hashlib.sha256(content).hexdigest(), len(content)
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("NIDBENCH_DATA", str(folder))
    monkeypatch.delenv("NIDBENCH_DATA_MIRROR", raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    return folder


@pytest.fixture
def mirror(tmp_path):
    """Return the folder that holds what example.org would."""
    folder = tmp_path / "mirror with space" / "example.org" / "data"
    folder.mkdir(parents=True)
    (folder / "good.bin").write_bytes(CONTENT)
    (folder / "corrupt.bin").write_bytes(OTHER)
    return folder


@pytest.fixture
def server(cache, mirror, monkeypatch):
    assert not cache.exists()
    with Server(mirror.parents[1]) as running:
        monkeypatch.setenv("NIDBENCH_DATA_MIRROR", f"http://127.0.0.1:{running.server_port}/")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def left_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def pooch_log():
    """Return the list of what pooch's logger lets through; its own handler keeps the stderr of when it was imported."""
    handler = logging.handlers.QueueHandler(queue.SimpleQueue())
    pooch.get_logger().addHandler(handler)
    yield handler.queue
    pooch.get_logger().removeHandler(handler)


def test_good_file_is_fetched_once_and_quietly(server, cache, capfd, pooch_log):
    file, seen = remote("good.bin"), []
    assert local(file) is None
    for _ in range(2):
        paths = fetch([file], lambda *step: seen.append(step))
    assert paths == [cache / "toy" / "good.bin"] == [local(file)]
    assert paths[0].read_bytes() == CONTENT
    assert seen == [(file, 1, 1)] * 2
    assert server.requests == ["/example.org/data/good.bin"]
    assert left_in(cache) == ["toy/good.bin"]
    assert capfd.readouterr() == ("", "")
    assert pooch_log.empty()
    pooch.get_logger().info("of another user of pooch")
    assert pooch_log.get_nowait().msg == "of another user of pooch"


@pytest.mark.usefixtures("server")
def test_fetched_file_can_be_read_by_others():
    assert get(remote("good.bin")).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("name", "reason"),
    [("short.bin", "IncompleteRead"), ("corrupt.bin", "does not match"), ("absent.bin", "404")],
    ids=["truncated", "corrupted", "404"],
)
def test_bad_download_is_explained_and_leaves_nothing(server, cache, name, reason):
    file = remote(name)
    with pytest.raises(DataError) as caught:
        get(file)
    message = str(caught.value)
    for text in ("toy", name, f"http://127.0.0.1:{server.server_port}/example.org/data/{name}", file.url, reason):
        assert text in message
    assert f"at {cache / 'toy' / name}" in message
    assert caught.value.__cause__ is not None
    assert left_in(cache) == []
    assert verify([file]) == [(file, "missing")]


@pytest.mark.usefixtures("server")
def test_failed_refetch_leaves_the_altered_file_unusable(cache):
    file = remote("corrupt.bin")
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "corrupt.bin").write_bytes(OTHER)
    with pytest.raises(DataError, match="does not match"):
        get(file)
    assert local(file) is None


def test_server_down(cache, monkeypatch):
    with Server(cache) as closed:
        port = closed.server_port
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", f"http://127.0.0.1:{port}")
    with pytest.raises(DataError, match="ConnectionError"):
        get(remote("good.bin"))
    assert left_in(cache) == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("content", [CONTENT[:-1], OTHER, b""], ids=["cut", "altered", "empty"])
def test_broken_cached_file_is_fetched_again(cache, content):
    file, path = remote("good.bin"), cache / "toy" / "good.bin"
    get(file)
    path.write_bytes(content)
    assert verify([file]) == [(file, "altered")]
    assert local(file) is None
    assert get(file).read_bytes() == CONTENT
    assert verify([file]) == [(file, "ok")]


@pytest.mark.usefixtures("server")
def test_many_at_once(cache):
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(get, [remote("good.bin")] * 24))
    assert [path.read_bytes() for path in paths] == [CONTENT]
    assert left_in(cache) == ["toy/good.bin"]
    assert pooch.get_logger().filters == []


def test_folder_as_mirror(cache, mirror, monkeypatch):
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", mirror.parents[1].as_uri())  # with %20
    assert get(remote("good.bin")).read_bytes() == CONTENT
    with pytest.raises(DataError, match="does not match"):
        get(remote("corrupt.bin"))
    with pytest.raises(DataError, match="No such file"):
        get(remote("absent.bin"))
    assert left_in(cache) == ["toy/good.bin"]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("mirror", ["/some/folder", "file://folder", "ftp://host/"])
def test_mirror_that_is_no_base(monkeypatch, mirror):
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", mirror)
    with pytest.raises(DataError, match=r"NIDBENCH_DATA_MIRROR is .*give"):
        sources(remote("good.bin"))


@pytest.mark.usefixtures("cache")
def test_sources_without_mirror_are_the_pinned_urls():
    assert sources(remote("good.bin")) == ["https://example.org/data/good.bin"]


@pytest.mark.usefixtures("cache")
def test_file_provided_by_hand_needs_no_server():
    file = remote("good.bin")
    destination(file).parent.mkdir(parents=True)
    destination(file).write_bytes(CONTENT)
    assert get(file) == destination(file)


def test_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "file" / "cache"))
    files = [remote("good.bin"), remote("absent.bin"), several("good.bin", "other.bin")]
    assert {state for _, state in verify(files)} == {"missing"}
    way_out = r"cannot write .*file/cache/toy \(Not a directory\): choose another folder with NIDBENCH_DATA"
    with pytest.raises(DataError, match=rf"(?s)toy: could not fetch good\.bin.*{way_out}") as caught:
        get(remote("good.bin"))
    assert "try again" not in str(caught.value)
    with pytest.raises(DataError, match=f"could not fetch 3 files of toy: {way_out}"):
        fetch(files)
    assert server.requests == []


def test_read_only_cache(on_small_disk, mirror):
    code = """
        import os, subprocess, sys
        from nidbench.files.download import DOWNLOADS, fetch, fetch_all, get, sources
        from nidbench.files.remote import RemoteFile, read_manifest
        from nidbench.files.cache import cache_folder, destination, local, state, verify
        os.environ |= {"NIDBENCH_DATA": sys.argv[1], "NIDBENCH_DATA_MIRROR": sys.argv[2]}
        os.mkdir(f"{sys.argv[1]}/toy")
        subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
        file = RemoteFile("toy", "good.bin", "https://example.org/data/good.bin", "00" * 32, 10240)
        print(fetch_all([file]).stopped)
    """
    error = on_small_disk(code, 64, mirror.parents[1].as_uri())
    assert "toy (Permission denied): choose another folder with NIDBENCH_DATA" in error


def test_full_disk(on_small_disk, mirror):
    """Ten files of a megabyte each where there is room for three: what is missing is told as a whole."""
    for number in range(10):
        (mirror / f"{number}.bin").write_bytes(bytes([number]) * 1_000_000)
    code = """
        import contextlib, hashlib, json, os, pathlib, sys
        from nidbench.files.download import DOWNLOADS, fetch, fetch_all, get, sources
        from nidbench.files.remote import RemoteFile, read_manifest
        from nidbench.files.cache import cache_folder, destination, local, state, verify
        from nidbench.errors import DataError
        os.environ |= {"NIDBENCH_DATA": sys.argv[1], "NIDBENCH_DATA_MIRROR": sys.argv[2]}
        files = []
        for i in range(10):
            digest = hashlib.sha256(bytes([i]) * 1_000_000).hexdigest()
            urls = f"https://example.org/data/{i}.bin https://example.org/other/{i}.bin"
            files.append(RemoteFile("toy", f"{i}.bin", urls, digest, 1_000_000))
        done = fetch_all(files)
        left = [path for path in pathlib.Path(sys.argv[1]).rglob("*") if path.is_file()]
        scraps = [path.name for path in left if path.name not in {file.path for file in files}]
        # those that were begun side by side may have filled it and failed: then there is room for one again
        with open(pathlib.Path(sys.argv[1], "filler"), "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(1000)):
                pass
        try:
            get(done.failures[0].file)
        except DataError as error:
            print(json.dumps([len(done.taken), len(done.failures), done.stopped, len(left), scraps, str(error)]))
    """
    taken, missing, stopped, left, scraps, single = json.loads(on_small_disk(code, 3200, mirror.parents[1].as_uri()))
    assert (left, taken + missing, scraps) == (taken, 10, [])
    assert taken <= 3
    assert f"the disk is full: free at least {missing}.0 MB where " in stopped
    assert "NIDBENCH_DATA" in stopped
    assert "free at least 1.0 MB" in single
    assert "example.org/other" not in single  # there is no room for it from elsewhere, either


@pytest.mark.usefixtures("cache")
def test_cached_file_that_cannot_be_read():
    file = remote("good.bin")
    destination(file).mkdir(parents=True)  # a folder in its place
    size = destination(file).stat().st_size
    with pytest.raises(DataError, match="cannot read"):
        state(RemoteFile(file.dataset, file.path, file.url, file.sha256, size))


def test_default_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("NIDBENCH_DATA", raising=False)
    assert cache_folder().name == "nidbench"
    assert cache_folder().is_absolute()


def test_manifest(tmp_path):
    manifest = tmp_path / "files.csv"
    manifest.write_text("dataset,path,sha256,bytes,url\na,x/1.png,00ff,12,https://h/1\nb,2.png,11,3,https://h/2\n")
    assert read_manifest(manifest, "a") == [RemoteFile("a", "x/1.png", "https://h/1", "00ff", 12)]
    with pytest.raises(DataError, match="lists no file of 'c'"):
        read_manifest(manifest, "c")


@pytest.mark.parametrize(
    "text",
    [
        "dataset,path\na,1.png\n",
        "dataset,path,sha256,bytes,url\na,1.png,00,many,u\n",
        "dataset,path,sha256,bytes,url\na,1.png,00\n",
        "dataset,path,sha256,bytes,url\na,1.png,00,12\n",
    ],
)
def test_broken_manifest(tmp_path, text):
    (tmp_path / "files.csv").write_text(text)
    with pytest.raises(DataError, match=r"cannot read .*columns are"):
        read_manifest(tmp_path / "files.csv", "a")
    with pytest.raises(DataError, match="cannot read"):
        read_manifest(tmp_path / "absent.csv", "a")


@pytest.mark.usefixtures("server")
def test_files_come_side_by_side_and_in_their_order(mirror, server):
    contents = {f"{i}.bin": bytes([i]) * (50 - i) for i in range(40)}
    for name, content in contents.items():
        (mirror / name).write_bytes(content)
    seen = []
    files = [remote(name, content) for name, content in contents.items()]
    paths = fetch(files, lambda file, done, count: seen.append((file, done, count, threading.get_ident())))
    assert [path.read_bytes() for path in paths] == list(contents.values())
    assert {file for file, *_ in seen} == set(files)
    assert [(done, count) for _, done, count, _ in seen] == [(i, 40) for i in range(1, 41)]
    assert {thread for *_, thread in seen} == {threading.get_ident()}
    assert len(server.requests) == 40


@pytest.fixture
def thirty(mirror):
    """Files that the mirror has."""
    for i in range(30):
        (mirror / f"{i}.bin").write_bytes(CONTENT)
    return [remote(f"{i}.bin") for i in range(30)]


def test_what_can_be_had_is_had_and_the_rest_is_told(cache, thirty, server):
    get(thirty[7])
    lacking, seen = [remote("absent.bin"), remote("corrupt.bin"), remote("silent.bin")], []
    done = fetch_all([*lacking, *thirty], lambda *step: seen.append(step[1:]))
    assert done.taken == [file for file in thirty if file is not thirty[7]]
    assert [failure.file for failure in done.failures] == lacking
    absent, corrupt, silent = (failure.reason() for failure in done.failures)
    assert absent == "404 File not found"
    assert "does not match" in corrupt
    assert silent.startswith("ConnectionError")
    assert done.stopped == ""
    assert seen == [(i, 33) for i in range(1, 31)]
    assert len(server.requests) == 33
    assert left_in(cache) == sorted(f"toy/{i}.bin" for i in range(30))


@pytest.mark.usefixtures("server")
def test_what_a_run_lacks_is_named_then_counted(cache, thirty):
    lacking = [remote(f"absent{i}.bin") for i in range(5)]
    with pytest.raises(DataError, match="could not fetch 5 files of toy") as caught:
        fetch([*lacking, *thirty])
    message = str(caught.value)
    for text in ("toy/absent0.bin from http://127", "toy/absent2.bin", "404", "and 2 more", "data verify", "MIRROR"):
        assert text in message
    assert "absent3" not in message
    assert len(left_in(cache)) == 30
    with pytest.raises(DataError, match=r"(?s)2 files of toy\n.*absent0.*absent1\.bin[^\n]*\n  try again"):
        fetch(lacking[:2])


def test_a_host_that_does_not_answer_is_given_up(server, cache):
    """At most as many more are under way when the last of four in a row fails."""
    files = [remote(f"silent{i}.bin") for i in range(40)]
    done = fetch_all(files)
    assert len(server.requests) < 2 * DOWNLOADS
    assert [failure.file for failure in done.failures] == files
    assert done.stopped.startswith(f"no answer from 127.0.0.1:{server.server_port} (ConnectionError")
    assert "NIDBENCH_DATA_MIRROR" in done.stopped
    assert left_in(cache) == []
    with pytest.raises(DataError, match="could not fetch 40 files of toy: no answer from 127"):
        fetch(files)


def test_a_host_that_answers_in_between_is_not(server, thirty):
    hung_up = [remote(f"silent{i}.bin") for i in range(DOWNLOADS - 1)]
    done = fetch_all([*hung_up, *thirty, *hung_up])
    assert len(done.taken) == 30
    assert len(server.requests) == 30 + 2 * len(hung_up)


def test_another_host_is_still_asked(server, cache, monkeypatch):
    """Of two addresses, the first is of a host that there is not."""
    with Server(cache) as closed:
        gone = f"http://127.0.0.1:{closed.server_port}"
    monkeypatch.delenv("NIDBENCH_DATA_MIRROR")
    here, digest = f"http://127.0.0.1:{server.server_port}", hashlib.sha256(CONTENT).hexdigest()
    good = f"{here}/example.org/data/good.bin"
    files = [RemoteFile("toy", f"{i}.bin", f"{gone}/{i}.bin {good}", digest, len(CONTENT)) for i in range(20)]
    assert fetch_all(files).taken == files


def test_a_file_known_by_its_md5_only(cache):
    file = RemoteFile("toy", "frames.zip", "http://h/f.zip", "", 0, md5=hashlib.md5(CONTENT).hexdigest())
    assert state(file) == "missing"
    (cache / "toy").mkdir(parents=True)
    for content, expected in ((CONTENT, "ok"), (OTHER, "altered"), (CONTENT + b"x", "altered")):
        destination(file).write_bytes(content)
        assert state(file) == expected
    assert file.known_by == f"MD5 {file.md5}"
    assert remote("good.bin").known_by == f"10240 bytes, SHA-256 {hashlib.sha256(CONTENT).hexdigest()}"


def several(*names):
    urls = " ".join(f"https://example.org/data/{name}" for name in names)
    return RemoteFile("toy", "good.bin", urls, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def test_sources_are_tried_in_their_order(server, cache):
    assert get(several("absent.bin", "corrupt.bin", "good.bin", "short.bin")).read_bytes() == CONTENT
    assert [Path(path).name for path in server.requests] == ["absent.bin", "corrupt.bin", "good.bin"]
    assert left_in(cache) == ["toy/good.bin"]


@pytest.mark.usefixtures("server")
def test_all_sources_failing_are_all_explained(cache):
    with pytest.raises(DataError) as caught:
        get(several("absent.bin", "corrupt.bin"))
    message = str(caught.value)
    for text in (
        "data/absent.bin or http",
        "data/corrupt.bin",
        "404",
        "does not match",
        str(cache / "toy" / "good.bin"),
    ):
        assert text in message
    assert left_in(cache) == []


@pytest.mark.usefixtures("cache")
def test_a_file_without_an_address_is_asked_of_the_person():
    with pytest.raises(DataError, match=r"it has no address\n  provide it by hand: .*nidbench data add"):
        get(RemoteFile("toy", "frames.zip", "", "00" * 32, 12))
