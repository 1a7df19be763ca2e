"""Cases of steps: their values, their names, their errors."""

from pipelines.job import Outcome
from tests.conformance.stage import Case, approve, report, send, wake

FAILED = Outcome.FAILED

STEPS = {
    "value_goes_on": Case(
        """
        first = await step.do("first", lambda: {"n": 20})
        second = await step.do("second", lambda: first["n"] + 1)
        return [first, second]
        """,
        output=[{"n": 20}, 21],
        results=("first succeeded", "second succeeded"),
    ),
    "name_used_thrice": Case(
        "return [await step.do('same', lambda n=n: n) for n in range(3)]",
        output=[0, 1, 2],
        results=("same succeeded", "same#2 succeeded", "same#3 succeeded"),
    ),
    "nothing_is_a_value": Case(
        "value = await step.do('nothing', lambda: None)\nreturn [value]", output=[None]
    ),
    "large_value": Case(
        """
        text = await step.do("large", lambda: "x" * 900_000)
        await step.wait_for_event("go")
        return await step.do("length", len, text)
        """,
        (send("go"),),
        output=900_000,
    ),
    "large_value_inside": Case(
        """
        data = await step.do("large", lambda: [{"parts": ["y" * 300_000] * 2}, {"n": 1}])
        await step.wait_for_event("go")
        return [len(data[0]["parts"][1]), data[1]["n"]]
        """,
        (send("go"),),
        output=[300_000, 1],
    ),
    "too_large_value": Case(
        "await step.do('large', lambda: 'x' * 16_777_217)",
        error=("ValueError", "16777216 are allowed"),
    ),
    "bytes_are_no_value": Case(
        "await step.do('bytes', lambda: b'x')", error=("TypeError", "bytes")
    ),
    "bytes_as_text": Case(
        """
        import base64
        text = await step.do("bytes", lambda: base64.b64encode(bytes(range(256)) * 100).decode())
        await step.wait_for_event("go")
        return len(base64.b64decode(text))
        """,
        (send("go"),),
        output=25_600,
    ),
    "sequence_of_every_kind": Case(
        """
        a = await step.do("a", lambda: 1)
        b = await step.job("b", run="b")
        c = await step.wait_for_event("c")
        d = await step.gate("d")
        await step.sleep("e", 10)
        return [a, b.exit_code, c, d.by]
        """,
        (report("b"), send("c", 3), approve("d"), wake),
        output=[1, 0, 3, ["ada"]],
        jobs=(("b", 1),),
        results=tuple(f"{key} succeeded" for key in "abcde"),
    ),
    "side_by_side": Case(
        """
        a, b = await asyncio.gather(step.job("a", run="a"), step.job("b", run="b"))
        return [a.name, b.name, await step.do("c", lambda: 3)]
        """,
        (report("b"), report("a")),
        output=["a", "b", 3],
        results=("b succeeded", "a succeeded", "c succeeded"),
    ),
    "same_name_side_by_side": Case(
        """
        async def work(n):
            return await step.scope(f"p{n}").wait_for_event("go", event=f"go{n}")
        return await asyncio.gather(work(1), work(2))
        """,
        (send("go2", "b"), send("go1", "a")),
        output=["a", "b"],
        results=("p2/go succeeded", "p1/go succeeded"),
    ),
    "first_of_several_again_and_again": Case(
        """
        left = {name: step.job(name, run=name) for name in "abc"}
        left = {name: asyncio.create_task(job) for name, job in left.items()}
        order = []
        while left:
            done, _ = await asyncio.wait(left.values(), return_when=asyncio.FIRST_COMPLETED)
            order += [name for name, task in left.items() if task in done]
            left = {name: task for name, task in left.items() if task not in done}
        return order
        """,
        (report("c"), report("b"), report("a")),
        output=["c", "b", "a"],
    ),
    "first_of_several": Case(
        "return list(await step.first(a=step.job('a', run='a'), b=step.wait_for_event('b')))",
        (send("b", 7), report("a", Outcome.CANCELLED)),
        output=["b", 7],
    ),
}

ERRORS = {
    "caught_and_gone_on": Case(
        """
        try:
            await step.do("x", int, "no number")
        except ValueError:
            return await step.do("y", lambda: "went on")
        """,
        output="went on",
        results=("x failed", "y succeeded"),
    ),
    "caught_after_a_wait": Case(
        """
        try:
            await step.do("x", int, "no number")
        except ValueError as error:
            await step.wait_for_event("go")
            return type(error).__name__
        """,
        (send("go"),),
        output="ValueError",
    ),
    "uncaught": Case(
        "await step.do('x', int, 'no number')",
        error=("ValueError", "no number"),
        results=("x failed",),
    ),
    "of_an_own_class": Case(
        """
        class Bad(Exception):
            def __init__(self, code, why):
                super().__init__(f"{code}: {why}")
                self.code = code
        def body():
            raise Bad(7, "worn out")
        try:
            await step.do("x", body)
        except Bad as error:
            await step.sleep("a while", 5)
            return error.code
        """,
        (wake,),
        output=7,
    ),
    "output_that_cannot_be_kept": Case("return object()", error=("TypeError", "object")),
    "a_job_that_failed": Case(
        "await step.job('x', run='x')",
        (report("x", FAILED),),
        error=("JobFailed", "exit code 1"),
    ),
    "what_was_begun_is_taken_back": Case(
        """
        try:
            await step.job("start", run="x")
        except JobFailed:
            await step.do("abort", lambda: "aborted")
        return await step.do("complete", lambda: "completed")
        """,
        (report("start", FAILED),),
        output="completed",
        results=("start failed", "abort succeeded", "complete succeeded"),
    ),
    "nothing_is_taken_back_without_one": Case(
        """
        try:
            await step.job("start", run="x")
        except JobFailed:
            await step.do("abort", lambda: "aborted")
        return await step.do("complete", lambda: "completed")
        """,
        (report("start"),),
        output="completed",
        results=("start succeeded", "complete succeeded"),
    ),
}
