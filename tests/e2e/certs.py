"""Certificates for the tests, made by the openssl program: an authority, and what it signs."""
import os
import subprocess


def run(*words):
    subprocess.run(("openssl",) + words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60)


class Pair:
    """A certificate and its key, as paths."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key


class Authority:
    def __init__(self, directory, name="ca"):
        self.dir = str(directory)
        self.name = name
        self.cert = os.path.join(self.dir, name + ".pem")
        self._key = os.path.join(self.dir, name + ".key")
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=suimon test " + name, "-keyout", self._key, "-out", self.cert)

    def issue(self, name, hosts="IP:127.0.0.1,DNS:localhost", days=2):
        """A certificate for these hosts, signed by this authority."""
        pair = Pair(*(os.path.join(self.dir, "%s.%s" % (name, end)) for end in ("pem", "key")))
        request, extensions = (os.path.join(self.dir, "%s.%s" % (name, end)) for end in ("csr", "ext"))
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
            "-keyout", pair.key, "-out", request)
        with open(extensions, "w") as f:
            f.write("subjectAltName=%s\n" % hosts)
        run("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial", "-days", str(days),
            "-extfile", extensions, "-out", pair.cert)
        os.chmod(pair.key, 0o600)
        return pair
