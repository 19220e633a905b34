"""What statements take, as suimon itself measures it, in a way that the machine's other work hardly shows.

What takes part goes before all else that the machine does (undisturbed). Of a run each statement's time is read from the slow log,
which has them to the microsecond; of several runs each one's least counts, and before and after take turns where they can.
"""
import contextlib
import os
import re

from conftest import ask, settle
from servers import wait_until

ROUNDS = 5
_ENTRY = re.compile(r"# Query_time: ([0-9.]+) .*?SET timestamp=\d+;\n(.*?);\n(?=# Time:|\Z)", re.S)


def _schedule(pid, policy, priority):
    for thread in os.listdir("/proc/%d/task" % pid):
        # It has just ended, or it is not ours to say (that takes CAP_SYS_NICE): then the least of several runs must do.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.sched_setscheduler(int(thread), policy, os.sched_param(priority))


@contextlib.contextmanager
def undisturbed(*servers):
    """These, this process and what it starts meanwhile wait for nothing but each other."""
    pids = [os.getpid()] + [s.process.pid for s in servers]
    for pid in pids:
        _schedule(pid, os.SCHED_RR, 1)
    try:
        yield
    finally:
        for pid in pids:
            _schedule(pid, os.SCHED_OTHER, 0)


def logged(path):
    """(text, seconds) of each statement, in the order in which they ended."""
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [(text, float(t)) for t, text in _ENTRY.findall(f.read())]


def log_of(instance):
    return instance.config["stats"]["slow_log"]


def every_statement(log):
    """The part of a configuration by which the slow log has all of them; the adviser does not meddle."""
    return {"slow": "0ms", "slow_log": str(log), "explain": False}


def run(instance, schema, texts):
    """Seconds of each, in one session."""
    done = len(logged(log_of(instance)))
    with instance.connect(database=schema) as c:
        for sql in texts:
            ask(c, sql)
    settle(instance)

    def own():
        """Theirs: without what the driver says of its own."""
        wanted, times = iter(texts + [None]), []
        sql = next(wanted)
        for text, t in logged(log_of(instance))[done:]:
            if text == sql:
                times.append(t)
                sql = next(wanted)
        return times if sql is None else None

    return wait_until("the statements in the log", own, 20)


def beside(instance, schema, server):
    """A function that runs texts ROUNDS times, and returns what run does of each."""
    def times(texts):
        with undisturbed(server):
            return [run(instance, schema, texts) for _ in range(ROUNDS)]
    return times


def least(runs):
    """The sum of each statement's least time."""
    return sum(map(min, zip(*runs)))


def cut(before, after):
    """Which share of the time the fix has saved. before, after: functions that run the same work without and with it once."""
    runs = [(before(), after()) for _ in range(ROUNDS)]
    return 1 - least(a for _, a in runs) / least(b for b, _ in runs)


def judge(finding, share):
    """share: which part of the time the fix has saved. What was foretold of it must be right within a factor of two."""
    p = finding["predicted"]
    foretold = p["time_saved"] / (p["time_saved"] + p["time_left"])
    print(finding["kind"], finding["text"][:60], "saved %.3f, foretold %.3f" % (share, foretold))
    assert foretold / 2 <= share <= foretold * 2, (finding, share, foretold)
