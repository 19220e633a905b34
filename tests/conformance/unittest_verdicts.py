"""For suites of Python's unittest: a result that writes a line a test, its verdict and its name, to the file $VERDICTS.

    python3 unittest_verdicts.py MODULE      runs the tests of a module (of the present folder) with it
"""
import os
import sys
import unittest


class Result(unittest.TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.out = open(os.environ["VERDICTS"], "a", buffering=1)

    def verdict(self, word, test):
        self.out.write("%s %s\n" % (word, test.id()))

    def addSuccess(self, test):
        super().addSuccess(test)
        self.verdict("PASS", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.verdict("FAIL", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.verdict("FAIL", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.verdict("SKIP", test)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.verdict("PASS", test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.verdict("FAIL", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.verdict("FAIL", test)


def read(path):
    """{name: verdict} of such a file; of a name that stands there twice (subtests), FAIL."""
    out = {}
    with open(path, errors="replace") as f:
        for line in f:
            verdict, name = line.rstrip("\n").split(" ", 1)
            out[name] = "FAIL" if out.get(name) == "FAIL" else verdict
    return out


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    unittest.main(module=sys.argv[1], argv=sys.argv[1:], testRunner=unittest.TextTestRunner(resultclass=Result))
