"""Prints "passed failed skipped" of one JUnit file; `-` stands for a command that is one test itself.

    tests/tally.py FILE|- EXIT-CODE
    tests/tally.py --late FILE

The exit code 77 of such a command says that it was skipped. A command that failed without a failed test (a crash, a time limit, nothing collected) counts as one failure.

--late prints the failed tests of a file, as meson or pytest wants them named, when time ran out in every one of them: on a busy machine only a
second run, alone, tells slow from stuck. When one failed otherwise (a wrong answer, a lost row) it prints nothing: that is never tried again.
"""
import re
import sys
import xml.etree.ElementTree


def counts(path):
    passed = failed = skipped = 0
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


LATE = re.compile(r"not within [\d.]+ s|timed out|Timeout|WITHIN\(|_wait_\w+\(")


def late(path):
    names = []
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        if bad is None:
            continue
        meson = " / " in case.get("name")
        said = bad.get("message") or ""
        if meson:  # a C test's own words
            said = "".join(line for line in case.findtext("system-err", "").splitlines() if "ERROR" in line)
        if not LATE.search(said):
            return []
        names.append(case.get("name").split(" / ")[1] if meson else "%s.py::%s" % (case.get("classname").replace(".", "/"), case.get("name")))
    return names


def main(path, code):
    if path == "-":
        passed, failed, skipped = {0: (1, 0, 0), 77: (0, 0, 1)}.get(code, (0, 1, 0))
    else:
        try:
            passed, failed, skipped = counts(path)
        except (OSError, xml.etree.ElementTree.ParseError):
            passed, failed, skipped = 0, 0, 0
        if failed == 0 and (code != 0 or passed + skipped == 0):
            failed = 1
    print(passed, failed, skipped)


if sys.argv[1] == "--late":
    print("\n".join(late(sys.argv[2])))
else:
    main(sys.argv[1], int(sys.argv[2]))
