"""What others' programs take, as types: values are compiled against them, so that an unknown key or word is an error."""
import json
import os
import shutil
import subprocess

import pytest

import servers

MODULES = os.path.join(servers.TOP, "build", "node", "node_modules")
KUBERNETES = {"v1": "kubernetes-types/core/v1", "apps/v1": "kubernetes-types/apps/v1"}


def needs(*modules):
    return pytest.mark.skipif(not shutil.which("node") or not all(os.path.isdir(os.path.join(MODULES, m)) for m in modules),
                              reason="node or %s is not there: deploy/deps --test" % ", ".join(modules))


def run_node(folder, script, *args):
    """A script that finds the packages; gives what it ended with and what it printed."""
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(MODULES)
    done = subprocess.run(["node", script, *args], cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=240)
    return done.returncode, done.stdout


def wrong_in(folder, **files):
    """What the compiler says of each file, a list of (module, type, value): the lines by file, none for nothing."""
    for name, values in files.items():
        lines = []
        for n, (module, kind, value) in enumerate(values):
            lines.append('import type { %s as T%d } from "%s";' % (kind, n, module))
            lines.append("export const v%d: T%d = %s;" % (n, n, json.dumps(value, indent=1)))
        (folder / (name + ".ts")).write_text("\n".join(lines) + "\n")
    code, said = run_node(folder, "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext",
                          "--moduleResolution", "nodenext", *("%s.ts" % name for name in files))
    lines = said.splitlines()
    assert (code == 0) == (not lines), said
    return {name: "\n".join(line for line in lines if line.startswith(name + ".ts(")) for name in files}


def of_kubernetes(docs):
    return [(KUBERNETES[d["apiVersion"]], d["kind"], d) for d in docs]
