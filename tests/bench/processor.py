"""Processor time of a process, and its place before others, for the benches here."""
import os

import servers

TICK = os.sysconf("SC_CLK_TCK")


def processor_time(pid):
    """Seconds of processor time, user and system, all threads that live: to the nanosecond where the kernel says it so finely."""
    total = 0
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                total += int(f.read().split()[0])
        return total / 1e9
    except OSError:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def take_precedence(pid):
    """The group (a session's autogroup) of this process goes before others."""
    try:
        with open("/proc/%d/autogroup" % pid, "w") as f:
            f.write("-19")
    except OSError as e:
        raise servers.ServerError("no precedence for process %d: %s" % (pid, e)) from None
