"""Runs a program under what suimon.service leaves it: the unit's SystemCallFilter=, SystemCallErrorNumber=, RestrictAddressFamilies=,
MemoryDenyWriteExecute= and RestrictNamespaces=, as systemd puts them in force: by libseccomp.

  confined.py UNIT PROGRAM [WORD ...]      the program's whole path
"""
import ctypes
import errno
import os
import re
import socket
import subprocess
import sys

ALLOW, REFUSE = 0x7fff0000, 0x00050000
EQUAL, MASKED = 4, 7
WRITE, EXEC = 2, 4  # PROT_…
NAMESPACES = 0x7e020000  # CLONE_NEW…


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def setting(unit, key):
    """All that the unit says of it, in order."""
    return " ".join(re.findall(r"^%s=(.*)$" % key, unit, re.M)).split()


def calls(name):
    """A call, or those of systemd's set of that name and of the sets in it."""
    if not name.startswith("@"):
        return {name}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in shown.splitlines()[1:]]
    return set().union(*(calls(w) for w in words if w and not w.startswith("#")))


def allowed(unit):
    left = calls("@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        named = set().union(*(calls(w) for w in line.lstrip("~").split()))
        left = left - named if line.startswith("~") else left | named
    return left


def confine(unit):
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    number = getattr(errno, setting(unit, "SystemCallErrorNumber")[0])
    ctx = ctypes.c_void_p(lib.seccomp_init(REFUSE | number))

    def add(action, call, *compare):
        of = lib.seccomp_syscall_resolve_name(call.encode())
        if of >= 0 and lib.seccomp_rule_add_array(ctx, action, of, len(compare), (Compare * len(compare))(*compare)) != 0:
            sys.exit("%s cannot be added to the filter" % call)
    left = allowed(unit)
    if setting(unit, "RestrictAddressFamilies"):
        left -= {"socket"}
        for family in setting(unit, "RestrictAddressFamilies"):
            add(ALLOW, "socket", Compare(0, EQUAL, getattr(socket, family), 0))
    if setting(unit, "MemoryDenyWriteExecute") == ["yes"]:
        left -= {"mmap", "mprotect", "pkey_mprotect"}
        for bits in (0, WRITE, EXEC):
            add(ALLOW, "mmap", Compare(2, MASKED, WRITE | EXEC, bits))
        for call in ("mprotect", "pkey_mprotect"):
            add(ALLOW, call, Compare(2, MASKED, EXEC, 0))
    if setting(unit, "RestrictNamespaces") == ["yes"]:
        left -= {"clone", "clone3", "unshare", "setns"}
        add(ALLOW, "clone", Compare(0, MASKED, NAMESPACES, 0))
        add(REFUSE | errno.ENOSYS, "clone3")  # its flags no filter sees: the C library then calls clone
    for call in left:
        add(ALLOW, call)
    if lib.seccomp_load(ctx) != 0:
        sys.exit("the filter cannot be loaded")


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        confine(f.read())
    os.execv(sys.argv[2], sys.argv[2:])
