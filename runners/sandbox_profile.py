"""The strict profile in bubblewrap's words: of a job's sandbox, and of a service's beside it.

Here: namespaces, what is in sight, what may be written. Whose sandbox it is, and what is bound into
it, `executors` know; what is refused to the kernel is `seccomp`'s.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from runners.job_directory import FILTER, INFO

TMP_BYTES_MAX = 1_073_741_824
SANDBOX_ID = "1000"
HOME = "/home/job"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Of /etc only what programs need to link, to verify certificates, and to know the time and where
# they are; and what Debian keeps there of JDKs, Maven and Perl, which do not start without.
ETC = (
    "ssl",
    "pki",
    "ca-certificates",
    "ca-certificates.conf",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "crypto-policies",
    "os-release",
    "debian_version",
    "protocols",
    "services",
    "java",
    *(f"java-{release}-openjdk" for release in (8, 11, 17, 21, 25)),
    # Not its settings: they may hold the operator's passwords.
    "maven/m2.conf",
    "maven/logging",
    "perl",
    "fonts",
)
ETC_OWN = ("passwd", "group", "hosts", "gitconfig")
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# A network of the sandbox's own; without, it has the one that it is started in.
OWN_NETWORK = ("--unshare-net",)


def profile(
    base: Sequence[str],
    *,
    hostname: str,
    sources: Mapping[str, str],
    writable: Collection[str],
    env: Mapping[str, str],
    cwd: str,
    network: Sequence[str] = OWN_NETWORK,
) -> list[str]:
    """Bubblewrap's arguments. `base`: the words of its root; `sources`: what is bound into it,
    inside → outside; `writable`: which of these may be written."""
    words = [
        *("--unshare-user", "--disable-userns", "--unshare-ipc", "--unshare-pid"),
        *network,
        *("--unshare-uts", "--unshare-cgroup-try"),
        *("--uid", SANDBOX_ID, "--gid", SANDBOX_ID, "--hostname", hostname),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--info-fd", str(INFO), "--seccomp", str(FILTER)),
        *base,
        # What is writable in memory has a size: /dev itself is not, but shared memory is.
        *("--proc", "/proc", "--dev", "/dev"),
        *("--size", str(TMP_BYTES_MAX), "--perms", "1777", "--tmpfs", "/dev/shm"),  # noqa: S108
        *("--remount-ro", "/dev"),
        *("--size", str(TMP_BYTES_MAX), "--perms", "1777", "--tmpfs", "/tmp"),  # noqa: S108
        *("--perms", "0755", "--dir", "/home"),
        *("--size", str(TMP_BYTES_MAX), "--perms", "0700", "--tmpfs", HOME),
        *("--perms", "0755", "--dir", "/var"),
    ]
    for inside, outside in sources.items():
        words += ["--bind" if inside in writable else "--ro-bind", outside, inside]
    words += ["--chdir", cwd]
    if not is_image(base):
        words += ["--remount-ro", "/"]
    variables = {"PATH": PATH, "HOME": HOME, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}  # noqa: S108
    for name, value in {**variables, "USER": "job", **env}.items():
        words += ["--setenv", name, value]
    return words


def is_image(base: Sequence[str]) -> bool:
    """Whether the words are those of an image's root, above which is written."""
    return "--overlay-src" in base or "--bind" in base


def system_root() -> list[str]:
    """The host's programs, read-only, and a handful of /etc."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in MERGED:
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in ETC_OWN:
        words += ["--symlink", f"/run/staunch/{name}", f"/etc/{name}"]
    words += ["--perms", "0755", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    return words


def image_root(words: list[str]) -> list[str]:
    """An image's own programs, with a layer above that takes what is written."""
    size = ("--size", str(TMP_BYTES_MAX), "--perms", "1777")
    words = [*words, *size, "--tmpfs", "/var/tmp"]  # noqa: S108
    for name in ETC_OWN:
        words += ["--symlink", f"/run/staunch/{name}", f"/etc/{name}"]
    return words
