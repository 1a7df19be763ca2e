"""Project: the small Python project that the demo pushes, with its tests and its pipeline."""

import os
import subprocess
from pathlib import Path

LOG_LINES = 60

PIPELINE = '''\
"""Test, lint, compute a version, rest, ask a person, deploy."""
from staunch import on

on.push(branches=["main"])


def version(commit):
    return f"1.0.0+{commit[:8]}"


async def run(event, step):
    unit, lint = await step.parallel(
        step.job("unit", run="python3 -u -m unittest -v", timeout="2m"),
        step.job("lint", run=[
            "python3 -m tabnanny -v shop tests",
            "python3 -W error -m compileall -q shop",
        ]),
    )
    label = await step.do("version", version, event.commit)
    await step.sleep("soak", "1s")
    answer = await step.gate("approve", approvers=["@ops"], inputs={"percent": int}, timeout="1d")
    await step.job(
        "deploy",
        run='echo "deployed $LABEL to $PERCENT%" >> /volumes/deploys/deploys.txt',
        env={"LABEL": label, "PERCENT": str(answer.inputs["percent"])},
        volumes=["deploys"],
    )
    return label
'''

CART = '''\
"""A shopping cart: prices in cents."""


def total(prices, discount_percent=0):
    """The sum, less a discount, rounded down."""
    return sum(prices) * (100 - discount_percent) // 100
'''

BROKEN_CART = CART.replace("(100 - discount_percent)", "(100 + discount_percent)")

TESTS = f"""\
import time
import unittest

from shop.cart import total


class CartTest(unittest.TestCase):
    def test_an_empty_cart_costs_nothing(self):
        self.assertEqual(total([]), 0)

    def test_a_discount_is_taken_off(self):
        self.assertEqual(total([1000, 500], discount_percent=10), 1350)

    def test_a_long_list_is_added_up(self):
        # Slow and talkative on purpose: there must be time to pull the plug while it runs.
        for number in range(1, {LOG_LINES} + 1):
            print(f"checked item {{number}} of {LOG_LINES}", flush=True)
            time.sleep(0.06)
        self.assertEqual(total(range(101)), 5050)
"""


class Project:
    """A working copy and the bare repository that it pushes to."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "shop.git"
        self._work = folder / "shop"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.bare)], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self._work)], check=True)
        self._git("remote", "add", "origin", str(self.bare))
        self._write(".staunch/pipeline.py", PIPELINE)
        self._write("shop/__init__.py", '"""A shop."""\n')
        self._write("shop/cart.py", CART)
        self._write("tests/__init__.py", "")
        self._write("tests/test_cart.py", TESTS)

    def push(self, message: str) -> str:
        """Commit everything, push it, and answer the commit's id."""
        self._git("add", "-A")
        self._git("commit", "-q", "-m", message)
        self._git("push", "-q", "origin", "main")
        return self._git("rev-parse", "HEAD").strip()

    def break_cart(self) -> None:
        """Put the mistake into the cart that its tests find."""
        self._write("shop/cart.py", BROKEN_CART)

    def _write(self, name: str, text: str) -> None:
        path = self._work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _git(self, *arguments: str) -> str:
        who = {"NAME": "Ada", "EMAIL": "ada@example.org"}
        author = {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in who.items()}
        done = subprocess.run(
            ["git", "-C", str(self._work), *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **author, "GIT_CONFIG_GLOBAL": "/dev/null"},
        )
        return done.stdout
