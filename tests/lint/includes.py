#!/usr/bin/env python3
"""Fails on an include that goes up: from a layer to one it may not use, or by a path with "..".

usage: includes.py ROOT NAME=FOLDER:LOWER,LOWER...   (the rows of meson.build's table `layers`)
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
TREES = ("base", "stats", "cache", "queue", "proxy", "tests")


def sources(root):
    for tree in TREES:
        for path in sorted((root / tree).rglob("*.[ch]")):
            if "node_modules" not in path.parts:
                yield path


def read_layers(specs):
    """Folder -> set of folders it may include from."""
    folder, lower = {}, {}
    for spec in specs:
        name, rest = spec.split("=", 1)
        folder[name], below = rest.split(":", 1)
        lower[name] = [b for b in below.split(",") if b]
    return {folder[n]: {folder[n]} | {folder[b] for b in lower[n]} for n in folder}


def main(root, specs):
    root = pathlib.Path(root)
    allowed = read_layers(specs)
    home, faults, seen = {}, [], 0
    files = [(p.relative_to(root), p.read_text(encoding="utf-8")) for p in sources(root)]
    for path, _ in files:
        if path.suffix == ".h" and path.parts[0] != "tests":
            if path.name in home:
                faults.append(f"{path}: there is also {home[path.name]}/{path.name}: headers are included by bare name")
            home[path.name] = path.parent.as_posix()
    for path, text in files:
        folder = path.parent.as_posix()
        for m in INCLUDE.finditer(text):
            kind, name = m.groups()
            seen += 1
            where = f"{path}:{text.count(chr(10), 0, m.start(1)) + 1}"
            if ".." in name.split("/"):
                faults.append(f"{where}: includes {name}: by bare name, the build knows the folder")
            elif kind == '"' and folder in allowed and home.get(name, folder) not in allowed[folder]:
                faults.append(f"{where}: {folder} may not use {home[name]} ({name})")
    for fault in faults:
        print(fault)
    print(f"{len(files)} files, {seen} includes, {len(faults)} faults")
    return 1 if faults or not seen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
