#!/usr/bin/env python3
"""embed.py OUT.c FILE... - the dashboard's files as a C table, so that the one binary carries them."""

import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def rows(data):
    for at in range(0, len(data), 20):
        yield "\t" + ", ".join(str(byte) for byte in data[at:at + 20]) + ",\n"


def main(out, files):
    with open(out, "w", encoding="ascii") as c:
        c.write('/* Made by embed.py from the files of stats/web. */\n#include "webfile.h"\n\n')
        for i, path in enumerate(files):
            with open(path, "rb") as f:
                data = f.read()
            c.write("static const unsigned char file_%d[] = {\n" % i)
            c.writelines(rows(data))
            c.write("};\n\n")
        c.write("const struct webfile webfiles[] = {\n")
        for i, path in enumerate(files):
            name = os.path.basename(path)
            kind = TYPES[os.path.splitext(name)[1]]
            c.write('\t{"/%s", "%s", file_%d, sizeof(file_%d)},\n' % (name, kind, i, i))
        c.write("\t{0},\n};\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
