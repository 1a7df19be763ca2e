"""step.first: the first of several steps, and what becomes of the others."""

from tests.tenants import approved, signal


def same_again(run):
    """Replay decides the same."""
    assert [one.digest for one in run.replayed()] == [made.digest for _, made in run.made]


def test_the_first_to_end_gives_its_index_and_its_value_and_the_others_are_cancelled(play):
    run = play(
        """
        which, value = await step.first(step.job('a', 'x'), step.job('b', 'x'), step.gate('g'))
        return [which, value.name]
        """
    )
    run.start()
    end = run.job("b")
    assert end.end.output == [1, "b"]
    assert [(j.key, j.cancelling) for j in end.open.jobs] == [("a", True)]
    states = {result.key: str(result.state) for result in end.results}
    assert states == {"b": "succeeded", "a": "cancelled", "g": "cancelled"}
    same_again(run)


def test_with_names_the_first_gives_its_name(play):
    run = play(
        """
        first = await step.first(go=step.gate('go'), late=step.sleep('late', '1h'))
        return [type(first).__name__, first.which, first.value]
        """
    )
    run.start()
    assert run.wake().end.output == ["First", "late", None]
    same_again(run)


def test_of_two_that_are_ready_at_once_the_one_given_first_wins(play):
    for order in ("nap, rest", "rest, nap"):
        run = play(
            f"""
            nap, rest = step.sleep('nap', 60), step.sleep('rest', 60)
            return [(await step.first({order})).which, 'nap, rest']
            """
        )
        run.start()
        assert run.wake().end.output[0] == 0
        same_again(run)


def test_of_two_that_are_ready_at_the_start_the_second_never_begins(play):
    run = play(
        """
        await step.sleep('nap', 60)
        won = await step.first(step.wait_for_event('x'), step.wait_for_event('y'))
        return [*won, await step.wait_for_event('again', event='y')]
        """
    )
    run.start()
    run.turn(signal("y", "y", "s1"), signal("x", "x", "s2"))
    end = run.wake()
    assert end.end.output == [0, "x", "y"]
    assert [command.key for command in end.commands] == ["x", "again"]
    same_again(run)


def test_one_that_is_ready_at_once_leaves_the_others_their_signals_however_it_came_to_be(play):
    for racer in ("step.sleep('zero', 0)", "nested()"):
        run = play(
            f"""
            async def nested():
                await asyncio.sleep(0)
                await step.parallel(step.sleep('zero', 0), step.do('one', int))
                await step.first(step.sleep('two', 0), step.wait_for_event('never'))
            await step.sleep('nap', 60)
            won = await step.first({racer}, step.wait_for_event('x'))
            return [won.which, await step.wait_for_event('again', event='x')]
            """
        )
        run.start()
        run.turn(signal("x", 7))
        assert run.wake().end.output == [0, 7]
        same_again(run)


def test_a_signal_for_a_wait_that_has_lost_is_there_for_the_next(play):
    run = play(
        """
        won = await step.first(step.wait_for_event('a', event='go'), step.wait_for_event('stop'))
        return [*won, await step.wait_for_event('b', event='go')]
        """
    )
    run.start()
    end = run.turn(signal("stop", 1, "s1"), signal("go", 2, "s2"))
    assert end.end.output == [1, 1, 2]
    same_again(run)


def test_the_error_of_the_first_to_end_is_raised(play):
    run = play("await step.first(step.gate('g', timeout=5), step.job('a', 'x'))")
    run.start()
    end = run.wake()
    assert end.end.error.type == "GateTimedOut"
    assert [(j.key, j.cancelling) for j in end.open.jobs] == [("a", True)]


def test_the_cleanup_of_the_others_has_ended_when_first_gives_its_value(play):
    run = play(
        """
        async def careful():
            try:
                await step.gate('g')
            finally:
                await step.job('sweep', 'x')
        which, _ = await step.first(careful(), step.wait_for_event('stop'))
        await step.do('after', int)
        return which
        """
    )
    run.start()
    between = run.turn(signal("stop"))
    assert between.end is None
    assert [command.key for command in between.commands] == ["sweep"]
    assert run.job("sweep").end.output == 1
    same_again(run)


def test_an_error_of_one_that_has_lost_is_nobodys(play):
    run = play(
        """
        async def breaking():
            try:
                await step.gate('g')
            finally:
                raise ValueError('too late')
        return (await step.first(breaking(), step.wait_for_event('stop'))).which
        """
    )
    run.start()
    end = run.turn(signal("stop"))
    assert (end.end.output, end.printed) == (1, "")


def test_a_timeout_around_it_cancels_all(play):
    run = play(
        """
        try:
            async with asyncio.timeout(60):
                await step.first(step.job('a', 'x'), step.gate('g'))
        except TimeoutError:
            return 'too late'
        """
    )
    run.start()
    end = run.wake()
    assert end.end.output == "too late"
    assert [str(result.state) for result in end.results] == ["cancelled", "cancelled"]


def test_it_takes_whatever_can_be_awaited(play):
    run = play(
        """
        async def both():
            return await step.parallel(step.gate('g'), step.gate('h'))
        task = asyncio.create_task(step.job('a', 'x'))
        return (await step.first(both(), task)).value
        """
    )
    run.start()
    run.turn(approved("g", "ann"))
    end = run.turn(approved("h", "bob"))
    assert "is no plain data" in end.end.error.message
    assert [(j.key, j.cancelling) for j in end.open.jobs] == [("a", True)]


def test_what_it_cannot_take_is_named(play):
    for options, said in (
        ("", "step.first takes steps, or steps with names"),
        ("step.sleep('a', 1), b=step.sleep('b', 1)", "step.first takes steps, or steps with names"),
        ("late=3", "step.first got int as 'late'"),
        ("[step.sleep('a', 1)]", "step.first got list as 0"),
    ):
        error = play(f"await step.first({options})").start().end.error
        assert said in error.message
        assert error.file == ".staunch/pipeline.py"
