"""Schedules: a repository that has one, for the pages to show."""

from pipelines.schedule import RUNNING_STILL, Entry, Schedule, Skipped, Timetable
from tests.web.world import NOW


async def scheduled(world, **changes):
    """The repository has one schedule."""
    facts = {"name": "nightly", "cron": "0 3 * * *", "tz": "Europe/Berlin"}
    entry = Entry(
        pipeline="pipeline",
        file=".staunch/pipeline.py",
        schedule=Schedule(**(facts | changes)),
        after=NOW,
        next=NOW + 7_200,
        last_run="1-00000000000000000001",
        last_due=NOW - 90_000,
        skipped=Skipped(due=NOW - 3_600, reason=changes.get("name", RUNNING_STILL)),
    )
    await world.timetables.write(Timetable(repo="tea/7", entries=[entry]), after=0)
