"""How an author calls the kit. `make types` checks it; nothing runs it."""

from staunch.testing import PipelineTest, Result, pull_request, push


def check() -> Result:
    test = PipelineTest(".staunch/pipeline.py", strict=True)
    test.job("unit", exit_code=1).gate("go", approve_by=["ada"]).do("v", returns=1)
    result = test.run(push("main"))
    name: str = result.jobs["unit"].command
    assert result.step("unit").state == "failed", name
    return test.run(pull_request(labels=["x"]))
