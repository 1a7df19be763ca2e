"""A run's page of 10 and of 500 steps: how long the host writes it, and until a reader has it."""

import statistics
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

from tests.bench.report import spread
from tests.web import shapes
from tests.web.browser import CHROMIUM, Browser, browser
from tests.web.served import Served, served
from tests.web.world import SECRETS, World

ROUNDS = 25
STEPS = (10, 500)
TOKEN = SECRETS["grace"]


def shown() -> None:
    """`page.run.10`, `page.run.500`: from the address in the browser until the page is whole, the
    line that broke in its log among it; `server_p50`: until all of its HTML was answered. The least
    of all rounds, and the processor's time, beside it: a busy machine adds to the rest."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            with served(world) as host:
                runs = {steps: _broken(host, steps) for steps in STEPS}
                written = {steps: _written(host, run) for steps, run in runs.items()}
                if CHROMIUM is None:
                    print('{"id": "page.run.10", "skipped": "there is no chromium"}')
                    return
                with browser(Path(folder) / "profile") as page:
                    page.look()
                    page.set_cookie(host.url, "staunch_token", TOKEN)
                    for steps, run in runs.items():
                        whole = [_whole(page, f"{host.url}/runs/{run}") for _ in range(ROUNDS)]
                        assert page.complaints == []
                        told = {"least": round(min(whole)), **written[steps]}
                        spread(f"page.run.{steps}", "ms", whole, **told)
        finally:
            world.model.close()


def _broken(host: Served, steps: int) -> str:
    story = host.do(shapes.wide(host.world, steps, number=steps))
    key = f"shard-{(steps - 2) // 4:03}/test"
    log = "".join(f"line {n} of the test\n" for n in range(2_000))
    host.world.write_log(story.job_id(key), f"=== make test\n{log}error: it is not 4\n")
    return str(story.run)


def _written(host: Served, run: str) -> dict[str, float]:
    """How long the host takes for the HTML, and how much that is."""
    connection = HTTPConnection("127.0.0.1", host.port)
    took, size = [], 0
    cpu = time.process_time()
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        connection.request("GET", f"/runs/{run}", headers={"Cookie": f"staunch_token={TOKEN}"})
        size = len(connection.getresponse().read())
        took.append((time.perf_counter() - begun) * 1_000)
    cpu = (time.process_time() - cpu) * 1_000 / ROUNDS
    connection.close()
    ordered = sorted(took)
    return {
        "server_cpu": round(cpu, 1),
        "server_least": round(ordered[0], 1),
        "server_p50": round(statistics.median(ordered), 1),
        "server_p99": round(ordered[-1], 1),
        "html_kb": round(size / 1_000),
    }


def _whole(page: Browser, url: str) -> float:
    page.open("about:blank")
    begun = time.perf_counter()
    page.open(url)
    page.until("document.querySelector('.line.failing') !== null")
    return (time.perf_counter() - begun) * 1_000
