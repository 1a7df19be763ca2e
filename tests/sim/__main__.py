"""`python -m tests.sim COUNT [FIRST]`: play so many seeds, on all cores."""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.sim.story import Story, tell_all

CHUNK = 25


def main() -> int:
    """Answers the exit code: 0 only if every seed passed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began = time.monotonic()
    wrong = turns = lives = done = 0
    for story in _stories(range(first, first + count)):
        done, turns, lives = done + 1, turns + story.turns, lives + story.lives
        if story.verdicts:
            wrong += 1
            _print_wrong(story)
        if done % 1000 == 0 and done < count:
            print(f"{done:,} of {count:,} seeds, {wrong} wrong", file=sys.stderr, flush=True)
    took = time.monotonic() - began
    verdict = "PASS" if not wrong else "FAIL"
    print(
        f"{verdict}  {count:,} seeds from {first}: {turns:,} turns, {lives:,} lives of engines,"
        f" {wrong} wrong, in {took:,.0f} s"
    )
    return 1 if wrong else 0


def _stories(seeds: range) -> Iterator[Story]:
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(chunks)), spawn) as pool:
        for stories in pool.map(tell_all, chunks):
            yield from stories


def _print_wrong(story: Story) -> None:
    for verdict in story.verdicts:
        print(f"seed {story.seed}, run {verdict.run}:")
        for wrong in verdict.wrong:
            print(f"  {wrong}")
        print("  " + verdict.source.replace("\n", "\n  "))
    print(f"play it again with: make sim SEEDS=1 SEED={story.seed}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
