"""`staunch trust …`: how strangers' pull requests are admitted, and approving their commits."""

import json
from typing import Annotated, Any

import typer

from ci_host.cli.client import find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.pasted import pasted
from ci_host.cli.plain import plain

ScopeOption = Annotated[
    str,
    typer.Option(
        help="A repository, a connection's id, or <connection>:<owner>; empty: everything."
    ),
]
# So much of what a stranger calls a pull request is shown.
TITLE_CHARS_MAX = 100
ADMISSIONS = "refuse, approval, base, own or trust"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Pull requests of strangers.", no_args_is_help=True)
    group.command("held")(list_held)
    group.command("approve")(approve)
    group.command("explain")(explain)
    group.command("policies")(list_policies)
    group.command("set")(set_policy)
    group.command("remove")(remove_policy)
    app.add_typer(group, name="trust")


def list_held(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the pull requests that wait for an approval."""
    found = find(server, token, data).get("/trust/held")["held"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found:
        title = plain(one["title"], "")[:TITLE_CHARS_MAX]
        typer.echo(f"{plain(one['repo'])} #{one['number']} {one['commit']}  {title}")
        typer.echo(f"  {plain(one['why'])}")
        said = pasted("trust", "approve", one["repo"], str(one["number"]), one["commit"])
        typer.echo(f"  {said}")
    if not found:
        typer.echo("No pull request waits for an approval.")


def approve(
    repo: str,
    number: int,
    commit: Annotated[str, typer.Argument(help="All of the commit's id, as you have read it.")],
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Let the pipeline of this one commit of a pull request run, without secrets."""
    body = {"repo": repo, "number": number, "commit": commit}
    done = find(server, token, data).post("/trust/approvals", body)
    typer.echo(f"approved {commit} of {repo} #{number}: {', '.join(done['runs'])}")


def explain(
    repo: str,
    number: int,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a pull request would be judged now, and why."""
    told = find(server, token, data).get("/trust/explain", repo=repo, number=number)
    if as_json:
        typer.echo(json.dumps(told))
        return
    verdict, facts, approval = told["verdict"], told["facts"], told["approval"]
    by = facts["login"] or "?"
    typer.echo(plain(f"{told['repo']} #{number} at {facts['head_commit']}, by {by}"))
    typer.echo(f"  {plain(verdict['why'])}")
    typer.echo(f"  {_policy(told['policy'])}")
    if approval is not None:
        typer.echo(f"  this commit was approved by {approval['by']}")
    typer.echo(f"  so: {OUTCOMES[_outcome(verdict)]}")


def list_policies(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the policies; of several that fit, the narrowest counts."""
    found = find(server, token, data).get("/trust/policies")["policies"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found:
        typer.echo(_policy(one))


def set_policy(
    scope: ScopeOption = "",
    members: Annotated[
        str, typer.Option(help=f"Of authors who may write to the repository: {ADMISSIONS}.")
    ] = "base",
    strangers: Annotated[
        str, typer.Option(help="Of others, of whom something was taken in before.")
    ] = "base",
    newcomers: Annotated[
        str, typer.Option(help="Of others, of whom nothing was, or nobody can tell.")
    ] = "approval",
    approver: Annotated[
        list[str] | None,
        typer.Option(help="Who may approve commits beside administrators; repeat it."),
    ] = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Say how pull requests from other repositories are admitted. What is not named is default."""
    body = {
        "scope": scope,
        "members": members,
        "strangers": strangers,
        "newcomers": newcomers,
        "approvers": approver or [],
    }
    typer.echo(_policy(find(server, token, data).put("/trust/policies", body)))


def remove_policy(
    scope: ScopeOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Have the next wider policy count."""
    find(server, token, data).delete("/trust/policies", scope=scope)
    typer.echo(f"there is no policy of its own for {scope or 'the whole installation'} any more")


OUTCOMES = {
    "refuse": "nothing of it runs",
    "approval": "it waits for an approval of this very commit",
    "approved": "its own pipeline runs, without secrets",
    "base": "the pipeline of the branch it is for runs on it, without secrets",
    "own": "its own pipeline runs, without secrets",
    "trust": "its own pipeline runs, as one of the repository's",
}


def _outcome(verdict: dict[str, Any]) -> str:
    is_approved = verdict["admission"] == "approval" and verdict["by"]
    return "approved" if is_approved else str(verdict["admission"])


def _policy(one: dict[str, Any]) -> str:
    scope = one["repo"] or one["scope"] or "everything"
    said = ", ".join(f"{who} {one[who]}" for who in ("members", "strangers", "newcomers"))
    approvers = ", ".join(one["approvers"])
    return f"policy for {scope}: {said}" + (f"; approved by {approvers}" if approvers else "")


def trust_line(trust: dict[str, Any]) -> str:
    """How a pull request was judged, in one line; `trust` as a run of the API has it."""
    whose = f"; pipeline of {trust['base'][:10]}" if trust["base"] else ""
    approved = f"; approved by {trust['by']}" if trust["by"] else ""
    return f"{trust['tier']}: {trust['why']}{whose}{approved}"
