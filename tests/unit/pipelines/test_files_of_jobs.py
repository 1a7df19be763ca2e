"""artifacts= and files= of step.job: what is asked, what comes back, and what is taken over."""

import pytest
from msgspec import structs

from pipelines.events import Recalled
from pipelines.job import Artifact, Placed
from tests.tenants import finished, started

DIST = Artifact(name="dist", digest="d" * 64, size=10, files=2)


def left(key, *artifacts):
    return structs.replace(finished(key), artifacts=list(artifacts))


def test_what_one_job_left_another_begins_with(play):
    run = play(
        """
        built = await step.job('build', run='make', artifacts={'dist': 'dist', 'log': ['*.log']})
        dist = built.artifacts['dist']
        await step.job('test', run='ls', files=[dist, dist.into('old/dist')])
        return [sorted(built.artifacts), dist.size, dist.files]
        """
    )
    [build] = run.start().commands
    assert build.request.artifacts == {"dist": ["dist"], "log": ["*.log"]}
    [test] = run.turn(left("build", DIST)).commands
    assert test.request.files == [
        Placed(digest=DIST.digest, name="dist", into="."),
        Placed(digest=DIST.digest, name="dist", into="old/dist"),
    ]
    end = run.job("test")
    assert end.end.output == [["dist"], 10, 2]
    assert run.replayed()[-1].digest == end.digest


def test_a_further_attempt_of_the_run_takes_the_artifacts_over(play):
    body = """
        built = await step.job('build', run='make', artifacts={'dist': 'dist'})
        await step.job('test', run='ls', files=[built.artifacts['dist']])
        """
    first = play(body)
    asked = first.start().commands[0]
    done = first.turn(left("build", DIST)).results[0]
    again = play(body)
    kept = Recalled(kind=asked.kind, key=asked.key, fingerprint=asked.fingerprint, value=done.value)
    noted, test = again.turn(structs.replace(started(), recalled=[kept]), after=0.0).commands
    assert (noted.key, noted.request) == ("build", None)
    assert test.request.files == [Placed(digest=DIST.digest, name="dist", into=".")]


def test_a_job_without_artifacts_is_asked_and_recorded_as_ever(play):
    plain = play("await step.job('build', run='make')").start().commands[0]
    empty = play("await step.job('build', run='make', artifacts={}, files=[])").start().commands[0]
    assert plain.fingerprint == empty.fingerprint
    run = play("await step.job('build', run='make')")
    run.start()
    assert run.job("build").results[0].value == {"exit_code": 0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("artifacts=['dist']", "artifacts must be like"),
        ("artifacts={'': 'dist'}", "an artifact's name has"),
        ("artifacts={'a/b': 'dist'}", "not 'a/b'"),
        ("artifacts={'a': []}", "artifact 'a' has 0 patterns"),
        ("artifacts={'a': 3}", "artifact 'a' needs a pattern"),
        ("artifacts={'a': '/'}", "the whole of it is '*'"),
        ("artifacts={str(n): '*' for n in range(51)}", "a job may keep 50"),
        ("files='dist'", "files must be a list of artifacts"),
        ("files=['dist']", "files has 'dist', which is no artifact"),
        ("files=[Artifact('a', '', 0, 0).into('/etc')]", "no folder below the workspace"),
        ("files=[Artifact('a', '', 0, 0).into('a/../..')]", "no folder below the workspace"),
    ],
)
def test_an_option_that_cannot_be_meant_is_named_where_it_stands(play, options, words):
    end = play(f"await step.job('build', run='make', {options})").start().end
    assert words in end.error.message
    assert end.error.file == "pipeline.py" or end.error.file.endswith("pipeline.py")
