"""Weights by chance in place of the authors', to be fetched from a mirror into an empty cache."""

import hashlib

from nidbench.files.remote import RemoteFile


def mirror(monkeypatch, folder, kind, contents):
    """Let a method ask for files with these contents, name -> bytes, of which nothing is in the cache yet."""
    source = folder / "mirror" / "nowhere.org"
    source.mkdir(parents=True)
    files = []
    for name, content in contents.items():
        (source / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(RemoteFile("chance", name, f"https://nowhere.org/{name}", digest, len(content)))
    monkeypatch.setattr(kind, "files", staticmethod(lambda: files))
    monkeypatch.setenv("NIDBENCH_DATA", str(folder / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", (folder / "mirror").as_uri())
    return files
