"""Plans: the pipelines that are measured."""

ONE_DO = """
async def run(event, step):
    return await step.do("one", lambda: 1)
"""

MANY_DO = """
async def run(event, step):
    total = 0
    for number in range({count}):
        total += await step.do("add", lambda: number)
    return total
"""

TWENTY_SIGNALS = """
async def run(event, step):
    return [await step.wait_for_event(f"s{number}") for number in range(20)]
"""

MANY_SIGNALS = """
async def run(event, step):
    taken = 0
    while True:
        taken += await step.wait_for_event("go") is not None
"""

MANY_DO_AND_SIGNALS = """
async def run(event, step):
    total = 0
    for number in range({count}):
        total += await step.do("add", lambda: number)
    while True:
        await step.wait_for_event("go")
"""

WAITING = """
async def run(event, step):
    return await step.wait_for_event("go")
"""

GATE = """
async def run(event, step):
    await step.gate("deploy", approvers=["@ops"], timeout="30d")
"""

TICKING = """
async def run(event, step):
    for number in range(100_000):
        await step.sleep("tick", {seconds})
"""

SCHEDULED = """
from staunch import on

on.schedule("0 3 29 2 *", name="nightly")


async def run(event, step):
    return event.schedule.due
"""

STAMP = """
async def run(event, step):
    await step.job("stamp", run="date +%s%N > /volumes/stamps/$STAUNCH_COMMIT", volumes=["stamps"])
"""

TALK = """
async def run(event, step):
    await step.job("talk", run="yes $(printf %099d 7) | head -n {lines}")
"""

# About 115 lines with dataclasses, enum, re, json and datetime: what a grown pipeline looks like.
REALISTIC = '''
"""A release pipeline with a version scheme, a test matrix and a report."""
import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum

from staunch import Retry, on

on.push(branches=["main", "release/*"])
on.pull_request()

VERSION = re.compile(r"v(?P<major>[0-9]+)[.](?P<minor>[0-9]+)[.](?P<patch>[0-9]+)(?P<rest>-.*)?")
SKIP = re.compile(r"[[](?:skip ci|ci skip)[]]", re.IGNORECASE)


class Channel(Enum):
    NIGHTLY = "nightly"
    BETA = "beta"
    STABLE = "stable"

    @property
    def percent(self):
        return {Channel.NIGHTLY: 1, Channel.BETA: 10, Channel.STABLE: 100}[self]


@dataclass(frozen=True, order=True)
class Version:
    major: int
    minor: int
    patch: int
    rest: str = ""

    @classmethod
    def parse(cls, text):
        found = VERSION.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no version")
        numbers = [int(found[part]) for part in ("major", "minor", "patch")]
        return cls(*numbers, found["rest"] or "")

    def bump(self, part):
        match part:
            case "major":
                return Version(self.major + 1, 0, 0)
            case "minor":
                return Version(self.major, self.minor + 1, 0)
            case _:
                return Version(self.major, self.minor, self.patch + 1)

    def __str__(self):
        return f"v{self.major}.{self.minor}.{self.patch}{self.rest}"


@dataclass
class Cell:
    python: str
    system: str
    extras: list = field(default_factory=list)

    @property
    def name(self):
        return "-".join(["test", self.python, self.system, *self.extras])

    def command(self):
        chosen = ",".join(self.extras) or "all"
        return f"tox -e py{self.python.replace('.', '')} -- --extras {chosen}"


@dataclass
class Report:
    started: datetime
    cells: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    def add(self, cell, result):
        self.cells[cell.name] = {"exit": result.exit_code, "attempt": result.attempt}

    def render(self):
        return json.dumps(
            {"started": self.started.isoformat(), "cells": self.cells, "notes": self.notes},
            sort_keys=True,
        )


def matrix():
    for python in ("3.11", "3.12", "3.13"):
        for system in ("bookworm", "trixie"):
            yield Cell(python, system)
    yield Cell("3.13", "bookworm", ["postgres"])


def channel_of(branch):
    if branch == "main":
        return Channel.BETA
    if branch.startswith("release/"):
        return Channel.STABLE
    return Channel.NIGHTLY


async def run(event, step):
    if SKIP.search(event.message):
        return "skipped"
    now = datetime.now(timezone.utc)
    report = Report(now)
    version = Version.parse("v1.2.3").bump("minor")
    retry = Retry(limit=2, delay="5s", on=["lost"])
    cells = list(matrix())
    jobs = [step.job(cell.name, run=cell.command(), retries=retry, timeout="30m") for cell in cells]
    for cell, result in zip(cells, await step.parallel(*jobs)):
        report.add(cell, result)
    channel = channel_of(event.branch)
    report.notes.append(f"{version} to {channel.percent}% until {now + timedelta(days=1)}")
    if channel is not Channel.NIGHTLY:
        await step.gate("publish", approvers=["@release"], timeout="7d")
        await step.job("publish", run="./publish", env={"VERSION": str(version)})
    return report.render()
'''

# When its job begins, by the job's own clock.
ONE_JOB_CLOCK = """
async def run(event, step):
    told = await step.job("first", run='echo "at=$(date +%s.%N)" >> "$STAUNCH_OUTPUT"')
    return told.outputs["at"]
"""
