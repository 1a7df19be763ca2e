"""services= of step.job: what is asked, and what is told of a wish that can be none."""

import pytest

from pipelines.service import Service


def test_a_service_is_asked_for_with_its_name_and_only_what_was_said(play):
    run = play(
        """
        from staunch import Service
        db = Service(image='postgres:15', env={'POSTGRES_PASSWORD': 'x'}, args=['-c', 'fsync=off'],
                     ready='pg_isready', port=5432, ready_in='2m')
        cache = Service(run='redis-server')
        await step.job('test', run='pytest', services={'db': db, 'cache': cache})
        """
    )
    [test] = run.start().commands
    assert test.request.services == [
        Service(
            name="db",
            image="postgres:15",
            env={"POSTGRES_PASSWORD": "x"},
            args=["-c", "fsync=off"],
            ready="pg_isready",
            port=5432,
            ready_s=120.0,
        ),
        Service(name="cache", run="redis-server"),
    ]


def test_a_job_without_services_is_asked_as_ever(play):
    plain = play("await step.job('build', run='make')").start().commands[0]
    empty = play("await step.job('build', run='make', services={})").start().commands[0]
    assert plain.fingerprint == empty.fingerprint


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ("[Service(run='x')]", "services must be a dict"),
        ("{'db': 'postgres'}", "service 'db' is 'postgres'; write Service"),
        ("{'my.db': Service(run='x')}", "1 to 32 small letters"),
        ("{'Db': Service(run='x')}", "1 to 32 small letters"),
        ("{'localhost': Service(run='x')}", "1 to 32 small letters"),
        ("{'db': Service()}", "service 'db' needs an image, or a command"),
        ("{'db': Service(image='no image')}", "image must be a name"),
        ("{'db': Service(run='x', args=['y'])}", "args of service 'db' are for what its image"),
        ("{'db': Service(image='x', args='y')}", "args of service 'db' must be a list"),
        ("{'db': Service(image='x', args=[3])}", "one of the args of service 'db' must be a text"),
        ("{'db': Service(run='x', port=70000)}", "port of service 'db' must be a number"),
        ("{'db': Service(run='x', port=True)}", "port of service 'db' must be a number"),
        ("{'db': Service(run='x', ready=3)}", "ready of service 'db' must be a text"),
        ("{'db': Service(run='x', ready_in='soon')}", "ready_in of service 'db' 'soon'"),
        ("{'db': Service(run='x', env={'A': 1})}", "env['A'] is of type int"),
        ("{f'db{n}': Service(run='x') for n in range(11)}", "may have 10 services, not 11"),
    ],
)
def test_a_wish_that_can_be_none_fails_in_the_plan(play, services, said):
    run = play(
        f"""
        from staunch import Service
        await step.job('test', run='true', services={services})
        """
    )
    assert said in run.start().end.error.message
