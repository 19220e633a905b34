"""The statements of MariaDB's own test suite (Debian's mariadb-test-data), file by file."""
import glob
import re

SUITE = "/usr/share/mysql/mysql-test"
# Lines of mysqltest's own language, and statements that it would change before they are sent.
NO_SQL = re.compile(r"^\s*(let|eval|if|while|connect|connection|disconnect|source|echo|exec|die|error|inc|dec|sleep|real_sleep|"
                    r"send|reap|query|perl|end|eof|append_file|write_file|remove_file|skip)\b|[{}$]", re.I | re.S)


def files():
    return sorted(glob.glob(SUITE + "/main/*.test") + glob.glob(SUITE + "/suite/*/t/*.test"))


def statements(path):
    """The statements of a file, as bytes, each on one line."""
    delimiter, text, found = b";", b"", []
    with open(path, "rb") as f:
        for line in f.read().split(b"\n"):
            bare = line.strip()
            if not text and (not bare or bare.startswith((b"#", b"--"))):
                continue
            if not text and bare.lower().startswith(b"delimiter "):
                delimiter = bare.split()[1].removesuffix(b";") or b";"
                continue
            text += (b"\n" if text else b"") + line
            if not bare.endswith(delimiter):
                continue
            one = text.strip()[:-len(delimiter)].strip()
            text = b""
            if b"\n" in one and (b"#" in one or b"--" in one):
                continue  # a comment's end would be lost
            one = re.sub(rb"[\r\n]+", b" ", one)
            if one and len(one) < 8000 and not NO_SQL.search(one.decode("latin-1")):
                found.append(one)
    return found
