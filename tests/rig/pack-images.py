#!/usr/bin/env python3
"""pack-images.py ARCHIVE: packs container images into one archive for `ctr images import`.

Standard input has one image a line: NAMES LAYERS ENTRYPOINT [USER], separated
by blanks. NAMES and LAYERS are separated by commas, a layer is a directory,
ENTRYPOINT is a path or '-', and USER a number. The same input gives the same image digests.
"""

import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile

CAPABILITY = "security.capability"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main(archive_path):
    with tarfile.open(archive_path, "w") as archive:
        digests = {}
        manifest = []
        for line in sys.stdin:
            names, layers, entrypoint, *user = line.split()
            layers = layers.split(",")
            for layer in layers:
                if layer not in digests:
                    digests[layer] = add_layer(archive, layer)
            config = image_config([digests[layer] for layer in layers], entrypoint, *user)
            config_name = sha256(config) + ".json"
            add_bytes(archive, config_name, config)
            manifest.append(
                {
                    "Config": config_name,
                    "RepoTags": names.split(","),
                    "Layers": [layer_name(digests[layer]) for layer in layers],
                }
            )
        add_bytes(archive, "manifest.json", json.dumps(manifest).encode())


def add_layer(archive, directory):
    """Adds the directory as a layer and returns its digest."""
    with tempfile.TemporaryFile() as layer_file:
        with tarfile.open(fileobj=layer_file, mode="w", format=tarfile.PAX_FORMAT) as layer:
            for path in sorted_paths(directory):
                add_path(layer, os.path.join(directory, path), path)
        size = layer_file.tell()
        layer_file.seek(0)
        digest = hashlib.file_digest(layer_file, "sha256").hexdigest()
        layer_file.seek(0)
        entry = tarfile.TarInfo(layer_name(digest))
        entry.size = size
        archive.addfile(entry, layer_file)
    return digest


def sorted_paths(directory):
    paths = []
    for folder, folders, files in os.walk(directory):
        for name in folders + files:
            paths.append(os.path.relpath(os.path.join(folder, name), directory))
    return sorted(paths)


def add_path(layer, path, name):
    entry = layer.gettarinfo(path, name)
    entry.mtime = 0
    entry.uname = entry.gname = ""
    if not entry.isreg():
        layer.addfile(entry)
        return
    if CAPABILITY in os.listxattr(path):
        entry.pax_headers["SCHILY.xattr." + CAPABILITY] = os.getxattr(path, CAPABILITY).decode("latin-1")
    with open(path, "rb") as content:
        layer.addfile(entry, content)


def image_config(digests, entrypoint, user=""):
    config = {"Env": [PATH], "WorkingDir": "/"}
    if entrypoint != "-":
        config["Entrypoint"] = [entrypoint]
    if user:
        config["User"] = user
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest for digest in digests]},
            "history": [],
        }
    ).encode()


def layer_name(digest):
    return digest + "/layer.tar"


def add_bytes(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def sha256(content):
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(sys.argv[1])
