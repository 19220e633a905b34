"""What deploy/ ships beside the program fits the program: units, manual pages, completion, containers' files."""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tarfile

import pytest
import yaml

from conftest import mariadb_only
import servers
import typed

TOP = servers.TOP
BUILD = os.path.dirname(servers.find_suimon())


def text(*path):
    with open(os.path.join(*path)) as f:
        return f.read()


def built(name):
    path = os.path.join(BUILD, name)
    if not os.path.exists(path):
        pytest.skip("%s is not built: this binary stands alone" % name)
    return path


def check(tmp_path, config, **env):
    path = tmp_path / "suimon.yaml"
    path.write_text(config)
    done = subprocess.run([servers.find_suimon(), "check", "-c", str(path)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout


def longest_drain():
    """Seconds that an end may take, as whoever kills it afterwards has to know: drain_timeout's default, and what systemd is asked for beside."""
    done = subprocess.run([servers.find_suimon(), "check", "--primary", "db:3306"], capture_output=True, text=True, timeout=60, check=True)
    assert "systemd is asked for `drain_timeout` and 10 s" in " ".join(text(TOP, "docs", "operations.md").split())
    return int(re.fullmatch(r"(\d+)s", yaml.safe_load(done.stdout)["drain_timeout"]).group(1)) + 10


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed: deploy/deps --test")
def test_the_unit_exposes_little():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", built("suimon.service")],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    level = re.search(r"exposure level for suimon.service: ([0-9.]+)", done.stdout).group(1)
    assert float(level) <= 2.0 and "gives it %s of 10" % level in text(TOP, "docs", "operations.md")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed: deploy/deps --test")
def test_systemd_knows_every_line_of_the_units(tmp_path):
    unit = re.sub(r"/[^\s']*/suimon(?= -c)", servers.find_suimon(), text(built("suimon.service")))
    (tmp_path / "suimon.service").write_text(unit)
    (tmp_path / "suimon.socket").write_text(text(TOP, "deploy", "systemd", "suimon.socket"))

    def said():
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "suimon.service", "suimon.socket"],
                              cwd=str(tmp_path), env={**os.environ, "SYSTEMD_UNIT_PATH": "%s:" % tmp_path}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.stdout
    assert said() == ""
    (tmp_path / "suimon.service").write_text(unit.replace("WatchdogSec=", "WatchdogSeconds="))
    assert "WatchdogSeconds" in said()


def test_the_unit_leaves_the_drain_its_time():
    unit = text(built("suimon.service"))
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit).group(1)) >= longest_drain()
    for line in ("Type=notify", "WatchdogSec=", "LoadCredential=", "NoNewPrivileges=yes"):
        assert line in unit


def test_no_number_of_failed_starts_leaves_the_unit_down():
    unit, listening = text(built("suimon.service")), text(TOP, "deploy", "systemd", "suimon.socket")
    assert "Restart=always\n" in unit and "\nStartLimitIntervalSec=0\n" in unit.split("[Service]")[0]
    # A start by the socket counts against a limit that is the socket's: what Restart= does must not reach it.
    pause = int(re.search(r"^RestartSec=(\d+)$", unit, re.M).group(1))
    seconds, most = (int(re.search(r"^TriggerLimit%s=(\d+)s?$" % word, listening, re.M).group(1)) for word in ("IntervalSec", "Burst"))
    assert seconds / pause < most / 2


def test_the_manual_has_every_option():
    page = text(built("suimon.yaml.5")).replace("\\-", "-")
    reference = text(TOP, "docs", "configuration.md").split("<!-- reference: ")[1]
    keys = re.findall(r"^\| `([a-z_.\[\]]+)` \|", reference, re.M)
    assert len(keys) > 60
    missing = [k for k in keys if ".B %s\n" % k not in page]
    assert missing == []


def keys_of(value, path=""):
    """Every key of a configuration, in the reference's words: lists' entries as [], down to what is no mapping of options."""
    if isinstance(value, dict) and value and not path.endswith((".keys", ".tag")):
        for key, below in value.items():
            yield from keys_of(below, "%s.%s" % (path, key) if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for entry in value:
            yield from keys_of(entry, path + "[]")
    else:
        yield path


def test_the_sample_configuration_has_every_option_and_none_other(tmp_path):
    """Those of rules and of other lists' entries in its comments, which are as valid as the rest."""
    sample = text(TOP, "deploy", "suimon.yaml")
    reference = set(re.findall(r"^\| `([a-z0-9_.\[\]]+)` \|", text(TOP, "docs", "configuration.md").split("<!-- reference: ")[1], re.M))
    options = {k for k in reference if "[]" not in k}
    assert len(options) > 50
    assert set(keys_of(yaml.safe_load(sample))) == options
    told = re.sub(r"^  # (- |  [a-z_]+:)", r"  \1", sample.replace("  rules: []  ", "  rules:  "), flags=re.M)
    check(tmp_path, told)
    named = set(keys_of(yaml.safe_load(told)))
    assert named - options <= reference
    assert {k for k in reference if "rules[]" in k and ".match." not in k} <= named
    for key in (k for k in reference - named if "[]" in k and ".match" not in k):
        word = key.rpartition(".")[2]
        assert re.search(r"#.*[{ ]%s:" % word, sample), key


def test_the_sample_configuration_names_every_choice():
    rows = re.findall(r"^\| `[^`]*?([a-z_]+)` \| [^|]+ \| ([a-z_0-9]+(?:, [a-z_0-9]+)* or [a-z_0-9]+) \|", text(TOP, "docs", "configuration.md"), re.M)
    told = set()
    for line in (line for line in text(TOP, "deploy", "suimon.yaml").splitlines() if " | " in line):
        option, _, choices = line.lstrip(" #").partition("#")
        for key, allowed in rows:
            if re.search(r"\b%s:" % key, option):
                told.add(key)
                assert set(re.split(", | or ", allowed)) <= set(re.findall(r"\w+", choices)), line
    assert told >= {"log", "mode", "compress", "consistency", "engine", "on_full", "read", "on_error", "per"}


DOCS = [text(TOP, "README.md")] + [text(TOP, "docs", name) for name in sorted(os.listdir(os.path.join(TOP, "docs"))) if name.endswith(".md")]


def examples():
    """Every configuration that the docs show, whole or a part of one, but for those with gaps in them."""
    for block in (b for page in DOCS for b in re.findall(r"```yaml\n(.*?)```", page, re.S)):
        if not re.search(r"…|\[user:|scrape_configs|\bca: ", block):
            yield block


def matches():
    """What they say of a rule's match in the middle of a sentence."""
    words = "digest|query|table|schema|user|verb|tag"
    return {m for page in DOCS for m in re.findall(r"`(?:match: )?(\{(?:%s): [^`…]*\})`" % words, page) if "key: value" not in m}


def test_what_the_docs_show_of_the_configuration_is_valid(tmp_path):
    shown = list(examples())
    assert len(shown) >= 8 and len(matches()) > 2
    for block in shown:
        config = yaml.safe_load(block)
        if "match" in config:
            config = {"routing": {"rules": [{"match": config["match"], "to": "deny"}]}}
        config.setdefault("primary", "db:3306")
        if any(rule["to"] == "bi" for rule in config.get("routing", {}).get("rules", [])):
            config.setdefault("replicas", [{"addr": "db-bi:3306", "group": "bi"}])
        queue = config.get("queue", {})
        if queue.get("rules") and "dir" not in queue and queue.get("engine", "file") == "file":
            queue["dir"] = str(tmp_path)
        check(tmp_path, yaml.safe_dump(config), **{name: "x" for name in re.findall(r"\$\{([A-Z_]+)\}", block)})
    for match in matches():
        check(tmp_path, "primary: db:3306\nrouting: {rules: [{match: %s, to: deny}]}\n" % match)


def verbs():
    usage = subprocess.run([servers.find_suimon(), "help"], capture_output=True, text=True, timeout=60).stdout
    return set(re.findall(r"^(?:usage:)? +suimon ([a-z][a-z-]*)", usage, re.M))


def test_the_manual_has_every_command():
    page = text(built("suimon.1")).replace("\\-", "-")
    assert len(verbs()) >= 6
    for verb in verbs():
        assert re.search(r"^\.B.*\b%s\b" % verb, page, re.M), verb


def complete(*words):
    script = ("source %s/deploy/completion/suimon.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _suimon; "
              "printf '%%s\\n' \"${COMPREPLY[@]}\"" % TOP)
    done = subprocess.run(["bash", "-c", script, "-", *words], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_completion():
    assert complete("suimon", "qu") == ["queue"]
    assert set(complete("suimon", "queue", "")) >= {"ls", "show", "retry", "discard", "bury", "pause", "resume", "drain"}
    assert "--http" in complete("suimon", "top", "--")
    assert any(f.endswith("suimon.yaml") for f in complete("suimon", "-c", TOP + "/deploy/suimon.y"))
    assert verbs() <= set(complete("suimon", ""))


def test_both_shells_and_the_manual_have_the_same_options():
    bash, zsh = text(TOP, "deploy", "completion", "suimon.bash"), text(TOP, "deploy", "completion", "_suimon")
    manual = text(built("suimon.1")).replace("\\-", "-")
    assert (verbs() | {"ready"}) - {"help", "run"} == set(re.findall(r"^\t\t'([a-z-]+):", zsh, re.M))
    own = "".join(subprocess.run([servers.find_suimon(), *verb, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
                  for verb in ([], ["top"], ["queue"], ["advise"], ["health"], ["push-config"]))
    options = [set(re.findall(r"(--[a-z][a-z-]+)", page)) - {"--config", "--help", "--version"} for page in (own, bash, zsh, manual)]
    assert len(options[0]) > 15
    assert options[1:] == options[:1] * 3
    for verb in re.findall(r"suimon queue (.+?)(?: \[|  )", own):
        for word in re.findall(r"\b[a-z]+\b", verb.split(" --")[0]):
            assert word in complete("suimon", "queue", "") and re.search(r"queue_verbs=\(.*\b%s\b" % word, zsh), word
            assert re.search(r"^\.B.*\b%s\b" % word, manual, re.M), word


@pytest.fixture
def zsh(tmp_path):
    """complete(LINE) is what an interactive zsh shows when one types LINE and a tab."""
    if not shutil.which("zsh"):
        pytest.skip("there is no zsh: deploy/deps --test installs it")
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", ZDOTDIR=str(tmp_path), HOME=str(tmp_path))
        os.execvp("zsh", ["zsh", "-f", "-i"])

    def until(mark):
        got = ""
        while mark not in got:
            assert select.select([fd], [], [], 60)[0], "zsh says no more than %r" % got
            got += os.read(fd, 65536).decode(errors="replace")
        return got

    def run(line, mark):
        """mark is put together by zsh, so that its echo of the line is none."""
        os.write(fd, ("%s; print %s''%s\n" % (line, mark[:3], mark[3:])).encode())
        return until(mark)

    def completed(line):
        run("true", "IS-READY")
        os.write(fd, line.encode() + b"\t\x18")  # what it is then is printed by the widget on ^X
        return until("END-OF-LINE")

    run("unsetopt zle_bracketed_paste 2>/dev/null; stty columns 200; PS1='' LISTMAX=1000; fpath=(%s $fpath)" % os.path.join(TOP, "deploy", "completion"), "IS-SET")
    run("autoload -Uz compinit && compinit -u -D", "IS-LOADED")
    run("shown() { print -r -- \"[$BUFFER]\" END-OF''-LINE; BUFFER=; zle accept-line }; zle -N shown; bindkey '^X' shown", "IS-BOUND")
    yield completed
    os.kill(pid, signal.SIGKILL)
    os.close(fd)
    os.waitpid(pid, 0)


def test_zsh_completes(zsh):
    assert "[suimon queue ]" in zsh("suimon que")
    verbs_of_queue = zsh("suimon queue ")
    for verb in ("ls", "show", "retry", "discard", "bury", "pause", "resume", "drain"):
        assert re.search(r"\b%s\b" % verb, verbs_of_queue), verbs_of_queue
    for line, option in (("top", "--once"), ("queue ls", "--pending"), ("queue show 7", "--json"), ("health", "--token"), ("push-config f.yaml", "--dry-run"),
                         ("advise 7", "--scratch"), ("check", "--primary")):
        assert "[suimon %s %s" % (line, option) in zsh("suimon %s %s" % (line, option[:-1])), line
    every = zsh("suimon ")
    for verb in (verbs() | {"ready"}) - {"help", "run"}:
        assert re.search(r"^%s +-- " % verb, every, re.M), every


def test_configurations_that_are_shipped_have_no_faults(tmp_path):
    check(tmp_path, text(TOP, "deploy", "debian", "suimon.yaml"))
    check(tmp_path, text(TOP, "deploy", "container", "suimon.yaml"), SUIMON_PRIMARY="db:3306")
    block = re.search(r"  suimon\.yaml: \|\n((?:    .*\n)+)", text(TOP, "deploy", "kubernetes", "suimon.yaml")).group(1)
    check(tmp_path, re.sub(r"^    ", "", block, flags=re.M), SUIMON_ADMIN_TOKEN="t", MONITOR_PW="p")


def test_what_the_packaged_configuration_has_one_type_works_with_credentials(tmp_path):
    """Without the folder it says what is missing: a shell has no credentials of its own."""
    head = text(TOP, "deploy", "debian", "suimon.yaml")
    typed_there = re.search(r"^#   sudo (env .+) && sudo systemctl reload suimon$", head, re.M).group(1)
    assert "`sudo %s" % typed_there in text(TOP, "docs", "operations.md")
    file, folder = tmp_path / "suimon.yaml", tmp_path / "credentials"
    commented = '# backend:\n#   monitor: {user: suimon_monitor, password: "${MONITOR_PW}"}\n'
    assert commented in head
    file.write_text(head.replace(commented, commented.replace("# ", "")))
    folder.mkdir()
    command = typed_there.replace("/etc/suimon/suimon.yaml", str(file)).replace("/etc/suimon/credentials", str(folder))
    command = command.replace(" suimon ", " %s " % servers.find_suimon())

    def run():
        return subprocess.run(command.split(), capture_output=True, text=True, timeout=60)
    missing = run()
    assert missing.returncode == 1 and "MONITOR_PW" in missing.stderr
    (folder / "MONITOR_PW").write_text("hidden\n")
    done = run()
    assert done.returncode == 0, done.stderr
    assert "user: suimon_monitor" in done.stdout and "hidden" not in done.stdout


@pytest.mark.skipif(not shutil.which("systemd-sysusers") or os.geteuid() != 0, reason="systemd-sysusers and root make the account")
def test_what_one_types_after_meson_install_is_all_that_the_unit_needs(tmp_path):
    """In a root of its own: the account from where meson puts its description, then what the unit names in /etc."""
    block = re.search(r"```sh\n(sudo systemd-sysusers.+?)```", text(TOP, "docs", "operations.md"), re.S).group(1)
    lines = [line.removeprefix("sudo ") for line in block.splitlines()]
    (tmp_path / "etc").mkdir()
    described = tmp_path / "usr" / "local" / "lib" / "sysusers.d"
    described.mkdir(parents=True)
    shutil.copy(os.path.join(TOP, "deploy", "systemd", "suimon.sysusers"), described / "suimon.conf")
    for line in (line for line in lines if not line.startswith("systemctl ")):
        words = line.split()
        if words[0] == "systemd-sysusers":
            words.insert(1, "--root=%s" % tmp_path)
        else:
            group = re.search(r"^suimon:x:(\d+):", (tmp_path / "etc" / "group").read_text(), re.M).group(1)
            words = [group if w == "suimon" else re.sub(r"^/etc", str(tmp_path / "etc"), w) for w in words]
        subprocess.run(words, cwd=TOP, check=True, timeout=60)
    unit = text(built("suimon.service"))
    named = set(re.findall(r"^(?:LoadCredential=suimon:|ExecStart=\S+ -c )(/\S+)$", unit, re.M))
    assert named == {"/etc/suimon/credentials", "/etc/suimon/suimon.yaml"}
    state = {name: os.stat(str(tmp_path) + name) for name in named}
    assert {n: s.st_mode & 0o777 for n, s in state.items()} == {"/etc/suimon/credentials": 0o700, "/etc/suimon/suimon.yaml": 0o640}
    account = re.search(r"^User=(.+)$", unit, re.M).group(1)
    assert re.search(r"^%s:x:" % account, (tmp_path / "etc" / "passwd").read_text(), re.M)
    assert str(state["/etc/suimon/suimon.yaml"].st_gid) == group
    assert lines[-1] == "systemctl enable --now suimon"


def needed(binary):
    """The packages that hold the libraries the program names, but the C library's and the sanitizers'."""
    out = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True, check=True, timeout=60).stdout
    names = [n for n in re.findall(r"NEEDED.*\[(.+?)\]", out) if not re.match(r"lib(c|m|gcc_s|asan|ubsan|systemd|resolv)\.so|ld-", n)]
    assert len(names) > 8
    for name in names:
        owners = subprocess.run(["dpkg", "-S", "*/" + name], capture_output=True, text=True, timeout=60).stdout
        yield name, {line.split(":")[0] for line in owners.splitlines()}


def build_packages():
    return re.search(r"^build=\((.*?)\)", text(TOP, "deploy", "deps"), re.M | re.S).group(1).split()


def test_the_package_is_built_with_all_libraries():
    needs = re.search(r"^Build-Depends:(.*?)^\S", text(TOP, "deploy", "debian", "control"), re.M | re.S).group(1)
    assert [p for p in build_packages() if p.endswith("-dev") and p != "libc6-dev" and not re.search(r"\s%s[,\s]" % re.escape(p), needs)] == []


@pytest.mark.skipif(not shutil.which("readelf"), reason="binutils are not installed")
def test_the_image_holds_what_the_program_needs():
    dockerfile = text(TOP, "deploy", "container", "Dockerfile")
    build, run = dockerfile.split("FROM debian:12-slim\n")
    for name, owners in needed(servers.find_suimon()):
        assert any(re.search(r"\s%s\s" % re.escape(o), run) for o in owners), "%s: none of %s is in the image" % (name, owners)
    packages = [p for p in build_packages() if p != "ca-certificates"]  # for npm, which has an image of its own
    assert [p for p in packages if not re.search(r"\s%s\s" % re.escape(p), build)] == []
    assert "USER 6033:6033" in run and 'HEALTHCHECK' in run and "STOPSIGNAL SIGTERM" in run


LINT = """
const { validate } = require("dockerfile-utils");
const problems = validate(require("fs").readFileSync(process.argv[2], "utf8"));
for (const p of problems) console.log(`${p.range.start.line + 1}: ${p.message}`);
"""


@typed.needs("dockerfile-utils")
def test_a_linter_finds_nothing_in_the_dockerfile(tmp_path):
    (tmp_path / "lint.js").write_text(LINT)
    (tmp_path / "wrong").write_text("FROM debian:12-slim\nHEALTHCHECK --intervall=5s CMD true\n")
    assert typed.run_node(tmp_path, "lint.js", "wrong") == (0, "2: Unknown flag: intervall\n")
    assert typed.run_node(tmp_path, "lint.js", os.path.join(TOP, "deploy", "container", "Dockerfile")) == (0, "")
    for page in ("operations.md", "aurora.md"):
        (tmp_path / page).write_text(re.search(r"```dockerfile\n(.+?)```", text(TOP, "docs", page), re.S).group(1))
        assert typed.run_node(tmp_path, "lint.js", page) == (0, "")


@typed.needs("dclint")
def test_a_linter_finds_nothing_in_the_compose_file(tmp_path):
    """Neither by the specification's schema nor by its rules, of which the order of a service's keys is one."""
    compose = os.path.join(TOP, "deploy", "container", "compose.yaml")

    def lint(right, wrong):
        (tmp_path / "compose.yaml").write_text(text(compose).replace(right, wrong))
        return typed.run_node(tmp_path, "node_modules/dclint/bin/dclint.cjs", "--max-warnings", "0", "compose.yaml")

    code, said = lint("read_only:", "read_onli:")
    assert code != 0 and "additional properties" in said
    code, said = lint("127.0.0.1:6033", "6033")
    assert code != 0 and "no-unbound-port-interfaces" in said
    assert lint("", "") == (0, "\n")


def test_the_compose_file_hardens_and_waits():
    suimon = yaml.safe_load(text(TOP, "deploy", "container", "compose.yaml"))["services"]["suimon"]
    assert suimon["read_only"] is True and suimon["cap_drop"] == ["ALL"] and suimon["security_opt"] == ["no-new-privileges:true"]
    assert int(re.fullmatch(r"(\d+)s", suimon["stop_grace_period"]).group(1)) >= longest_drain()
    assert any(v.endswith(":/var/lib/suimon/queue") for v in suimon["volumes"])


def test_what_compose_starts_comes_back_and_is_seen_from_its_host_alone(tmp_path):
    services = yaml.safe_load(text(TOP, "deploy", "container", "compose.yaml"))["services"]
    assert {s["restart"] for s in services.values()} == {"unless-stopped"}
    assert services["suimon"]["ports"] == ["127.0.0.1:%d:%d" % (port, port) for port in (6033, 6034)]
    assert not any("ports" in s for name, s in services.items() if name != "suimon")
    file = text(TOP, "deploy", "container", "suimon.yaml")
    assert set(services["suimon"]["environment"]) <= set(re.findall(r"\$\{(\w+)", file))
    check(tmp_path, file, **services["suimon"]["environment"])


@mariadb_only("the image in compose.yaml is MariaDB's")
def test_the_monitors_account_that_compose_makes_is_enough(cluster, suimon):
    """monitor.sh as MariaDB's image sources it: that image's own function sends standard input to the server as root."""
    password, socket = "it's \\ \"odd\"", cluster.primary.socket
    script = ("set -eo pipefail; docker_process_sql() { mariadb --socket=\"$1\" -u root; }\n" +
              text(TOP, "deploy", "container", "monitor.sh").replace("docker_process_sql <<", "docker_process_sql \"$1\" <<"))
    with cluster.primary.root() as root, root.cursor() as cur:
        try:
            subprocess.run(["bash", "-c", script, "-", socket], check=True, timeout=60, env={**os.environ, "MONITOR_PASSWORD": password})
            s = suimon({"replicas": [], "backend": {"monitor": {"user": "suimon_monitor", "password": password}}})
            servers.wait_until("the primary to be watched", lambda: s.metrics()["suimon_writable_servers"] == 1, 30)
            assert "denied" not in s.log_text()
        finally:
            cur.execute("DROP USER IF EXISTS suimon_monitor@'%'")


def test_the_pod_gives_the_drain_its_time_and_the_queue_a_volume():
    docs = [d for d in yaml.safe_load_all(text(TOP, "deploy", "kubernetes", "suimon.yaml")) if d]
    pod = docs[-1]["spec"]["template"]["spec"]
    sidecar = pod["initContainers"][0]
    applications = 30  # which ends first, by Kubernetes' own default
    assert sidecar["restartPolicy"] == "Always" and pod["terminationGracePeriodSeconds"] >= applications + longest_drain()
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] and sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    claims = {c["metadata"]["name"] for c in docs[-1]["spec"]["volumeClaimTemplates"]}
    assert {m["mountPath"] for m in sidecar["volumeMounts"] if m["name"] in claims} == {"/var/lib/suimon/queue"}


def test_no_probe_fails_of_a_database_that_is_down(suimon, tmp_path):
    """The application waits for it at the start, but not for ever; a process that does not serve is what ends the sidecar."""
    docs = [d for d in yaml.safe_load_all(text(TOP, "deploy", "kubernetes", "suimon.yaml")) if d]
    sidecar = docs[-1]["spec"]["template"]["spec"]["initContainers"][0]
    probe = sidecar["startupProbe"]
    *words, address = probe["exec"]["command"]
    assert words[:2] == ["/bin/sh", "-c"] and address == "127.0.0.1:6034"
    bound = int(re.search(r" -ge (\d+) ", words[2]).group(1))
    assert probe["timeoutSeconds"] > 3 * bound  # 2 s for an answer that does not come, and the pause
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "suimon").symlink_to(servers.find_suimon())
    (tmp_path / "bin" / "sleep").write_text("#!/bin/sh\necho slept\n")
    (tmp_path / "bin" / "sleep").chmod(0o755)

    def started(port):
        done = subprocess.run([*words, "%s:%d" % (servers.LOOPBACK, port)], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "PATH": "%s:%s" % (tmp_path / "bin", os.environ["PATH"])})
        return done.returncode, done.stdout.count("slept")
    reached, down = suimon(), suimon({"primary": "%s:%d" % (servers.LOOPBACK, servers.free_port()), "replicas": []}, ready=False)
    assert started(reached.http_port) == (0, 0)
    assert down.http("/readyz")[0] == 503 and started(down.http_port) == (0, bound - 1)
    assert started(servers.free_port())[0] == 1
    for probe in ("livenessProbe", "readinessProbe"):
        assert all(s.http(sidecar[probe]["httpGet"]["path"])[0] == 200 for s in (reached, down)), probe


def test_the_secret_that_is_told_of_has_every_variable():
    for path in ("kubernetes/suimon.yaml", "helm/suimon/values.yaml"):
        whole = text(TOP, "deploy", path)
        lines = [line.partition("#")[0] for line in whole.split("\n")]
        told = re.search(r"# +kubectl create secret generic (\S+)(.*)", whole)
        assert told.group(1) == "suimon"
        assert set(re.findall(r"--from-literal=(\w+)=", told.group(2))) == set(re.findall(r"\$\{(\w+)", "\n".join(lines))), path


def manifest_and_tasks(change=lambda workload, task: None):
    """The manifest, both tasks, and the second with the container that docs/operations.md adds to look inside."""
    docs = [d for d in yaml.safe_load_all(text(TOP, "deploy", "kubernetes", "suimon.yaml")) if d]
    names = ("task-definition.json", "task-definition-with-queue.json", "task-definition-with-queue.json")
    tasks = [json.loads(text(TOP, "deploy", "ecs", name)) for name in names]
    tasks[2]["containerDefinitions"].append(json.loads(re.search(r"```json\n(\{.+?)```", text(TOP, "docs", "operations.md"), re.S).group(1)))
    change(docs[-1]["spec"]["template"]["spec"], tasks[0]["containerDefinitions"])
    return typed.of_kubernetes(docs) + [("@aws-sdk/client-ecs", "RegisterTaskDefinitionCommandInput", task) for task in tasks]


@typed.needs("typescript", "kubernetes-types", "@aws-sdk/client-ecs")
def test_kubernetes_and_ecs_know_every_key(tmp_path):
    def spoil(pod, containers):
        pod["initContainers"][0]["readynessProbe"] = {}
        containers[0]["dependsOn"][0]["condition"] = "HEALTY"
        containers[1]["stoppTimeout"] = 60
    said = typed.wrong_in(tmp_path, ours=manifest_and_tasks(), spoilt=manifest_and_tasks(spoil))
    assert said["ours"] == ""
    assert all(word in said["spoilt"] for word in ("readynessProbe", "HEALTY", "stoppTimeout"))


def git(*words):
    return subprocess.run(["git", "-C", TOP, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not shutil.which("meson"), reason="meson is not installed: deploy/deps")
def test_the_release_tarball_has_what_its_build_needs(tmp_path):
    """That it builds, and twice the same, is tests/reproducible's."""
    if git("diff-index", "--quiet", "HEAD").returncode != 0:
        pytest.skip("no checkout of git, or what is in it is not committed")
    subprocess.run([os.path.join(TOP, "deploy", "tarball"), str(tmp_path)], check=True, timeout=300)
    tarball = next(tmp_path.glob("suimon-*.tar.xz"))
    with tarfile.open(tarball) as t:
        held = {m.name.partition("/")[2] for m in t.getmembers()}
        t.extractall(tmp_path)
    assert set(git("ls-files").stdout.split("\n")) <= held
    source, tools = tarball.with_name(tarball.name[:-len(".tar.xz")]), tmp_path / "tools"
    tools.mkdir()
    for tool in ("git", "node", "npm"):
        (tools / tool).write_text("#!/bin/sh\nexit 127\n")
        (tools / tool).chmod(0o755)
    for words in (["meson", "setup", "build", "-Dtests=disabled"], ["ninja", "-C", "build", "webfiles.c"]):
        subprocess.run(words, cwd=str(source), check=True, timeout=300, env={**os.environ, "PATH": "%s:%s" % (tools, os.environ["PATH"])})
    assert "MIT" in (source / "build" / "uPlot.LICENSE.txt").read_text()


def test_one_version_everywhere():
    version = re.search(r"^  version : '([0-9.]+)'", text(TOP, "meson.build"), re.M).group(1)
    assert re.match(r"suimon \(%s\) " % re.escape(version), text(TOP, "deploy", "debian", "changelog"))
    chart = yaml.safe_load(text(TOP, "deploy", "helm", "suimon", "Chart.yaml"))
    assert (chart["version"], chart["appVersion"]) == (version, version)
    for path in ("ecs/task-definition.json", "ecs/task-definition-with-queue.json", "kubernetes/suimon.yaml", "helm/suimon/values.yaml"):
        assert set(re.findall(r"/suimon:([0-9.]+)", text(TOP, "deploy", path))) == {version}, path
