"""`python -m tests.month COUNT [FIRST]`: play so many months, and print the verdict."""

import sys
import time

from tests.month.story import tell


def main() -> int:
    """Answers the exit code: 0 only if every month passed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began, wrong = time.monotonic(), 0
    for seed in range(first, first + count):
        story = tell(seed)
        wrong += bool(story.wrong)
        print(f"{'FAIL' if story.wrong else 'PASS'}  seed {seed}: {story.words}", flush=True)
        for one in story.wrong:
            print(f"      {one}")
        if story.wrong:
            print(f"      play it again with: make forge-month SEED={seed}")
    verdict = "FAIL" if wrong else "PASS"
    print(f"{verdict}  {count} months, {wrong} wrong, in {time.monotonic() - began:,.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
