import re

import httpx2
import pytest

from ci_host.web.site import FOR_MACHINES
from pipelines.bundle import Bundle
from pipelines.commands import (
    GateTerms,
    InputRule,
    Open,
    OpenJob,
    OpenPause,
    Result,
    StepKind,
    StepState,
)
from pipelines.event import EventKind, PullRequest, Scheduled
from pipelines.events import (
    CancelRequested,
    GateAnswered,
    KillRequested,
    PauseRequested,
    Rerun,
    ResumeRequested,
)
from pipelines.export import decode_export
from pipelines.job import Annotation
from pipelines.note import Note
from pipelines.run import RunState
from pipelines.schedule import RUNNING_STILL, Entry, Schedule, Skipped, Timetable
from pipelines.turn import End, Paused
from tests.web.world import (
    NOW,
    SECRETS,
    TERMS,
    Story,
    World,
    failed_run,
    job,
    running_run,
    waiting_run,
)

pytestmark = pytest.mark.anyio

OURS = {"sec-fetch-site": "same-origin"}
GIVEN = {"key": "approve", "decision": "approve", "input.percent": "25", "input.share": "0.5",
         "input.note": "", "comment": " go "}  # fmt: skip


def client_of(world: World, who: str = "ada") -> httpx2.AsyncClient:
    cookies = {"staunch_token": SECRETS[who]} if who else {}
    transport = httpx2.ASGITransport(app=world.app)
    return httpx2.AsyncClient(transport=transport, base_url="http://test", cookies=cookies)


async def check(world: World, path: str, *, who: str = "ada", **options) -> httpx2.Response:
    async with client_of(world, who) as client:
        if "data" in options:
            headers = {**OURS, **options.pop("headers", {})}
            return await client.post(path, headers=headers, **options)
        return await client.get(path, **options)


async def newest_input(world, story):
    return (await world.history.inputs_after(story.run, 0))[-1].input


async def test_the_list_shows_each_run_with_its_state_in_words_newest_first(world):
    await failed_run(world, 2)
    await waiting_run(world, 1)
    text = (await check(world, "/")).text
    assert text.index("Waiting") < text.index('class="state s-failed"')
    assert "Waits for gate approve" in text
    assert "A shop with a cart" in text and "And more." not in text


async def test_what_a_run_says_is_shown_in_the_list_and_on_its_page_and_stays_text(world):
    story = await waiting_run(world, 1)
    await story.turn(note=Note(text="shipping <b>", done=3, total=7))
    for path in ("/", f"/runs/{story.run}"):
        assert "shipping &lt;b&gt; (3 of 7)" in (await check(world, path)).text
    (run,) = (await check(world, "/api/v1/runs")).json()["runs"]
    assert run["note"] == {
        "text": "shipping <b>", "done": 3, "total": 7, "words": "shipping <b> (3 of 7)"
    }  # fmt: skip
    await story.turn()
    assert "shipping" in (await check(world, f"/runs/{story.run}")).text
    await story.turn(note=Note())
    assert "shipping" not in (await check(world, f"/runs/{story.run}")).text


async def test_filters_leave_out_what_does_not_match(world):
    await failed_run(world, 2)
    await waiting_run(world, 1, ref="refs/heads/side")
    assert "1-00000000000000000001" not in (await check(world, "/?state=failed")).text
    assert "1-00000000000000000002" not in (await check(world, "/?ref=side")).text
    assert "No run is like this" in (await check(world, "/?repo=other/one")).text


async def test_a_full_page_of_the_list_leads_on_to_older_runs(world):
    for number in range(1, 53):
        await running_run(world, number)
    first = (await check(world, "/?repo=me/shop")).text
    (older,) = re.findall(r'href="([^"]+)" rel="next"', first)
    second = (await check(world, older.replace("&amp;", "&"))).text
    shown = [set(re.findall(r"/runs/(1-\w+)", text)) for text in (first, second)]
    assert (len(shown[0]), len(shown[1])) == (50, 2)
    assert not shown[0] & shown[1]


async def test_an_empty_installation_says_what_to_do(world):
    assert "staunch repo add" in (await check(world, "/")).text


async def test_a_failed_run_shows_why_before_anything_else(world):
    note = Annotation(file="tests/test_cart.py", line=8, message="3 is not 4")
    story = await failed_run(world, annotations=[note])
    text = (await check(world, f"/runs/{story.run}")).text
    card, steps = text.index('class="failure card"'), text.index('id="part-steps"')
    assert card < steps
    for said in (
        ".staunch/pipeline.py:12",
        "tests/test_cart.py:8",
        "3 is not 4",
        "FAIL: it is not",
    ):
        assert card < text.index(said) < steps
    assert "https://forge.test/me/shop/src/commit/0123456789" in text
    assert "/.staunch/pipeline.py#L12" in text


async def test_a_run_is_found_by_the_beginning_of_its_id(world):
    story = await running_run(world)
    assert story.run in (await check(world, "/runs/1-0000")).text


async def test_a_running_job_is_chosen_and_its_log_is_there_without_scripts(world):
    story = await running_run(world)
    text = (await check(world, f"/runs/{story.run}")).text
    assert f'data-job="{story.job_id("eu/unit")}"' in text
    assert "<span>green so far</span>" in text
    assert ">eu</span></summary>" in text


async def test_the_address_chooses_the_log(world):
    story = await failed_run(world)
    text = (await check(world, f"/runs/{story.run}?job=unit&attempt=1")).text
    assert f'data-job="{story.job_id("unit")}"' in text


async def test_a_fragment_holds_the_parts_and_no_frame(world):
    story = await running_run(world)
    text = (await check(world, f"/runs/{story.run}/fragment")).text
    assert "<html" not in text
    parts = set(re.findall(r'id="(part-\w+)"', text))
    assert parts == {
        "part-head", "part-failure", "part-gates", "part-steps", "part-log", "part-timeline"
    }  # fmt: skip
    assert "log-lines" not in text


async def test_a_pull_request_leads_to_its_forge(world):
    pull = PullRequest(number=7, action="opened", base_ref="main", head_ref="x")
    story = await running_run(
        world, kind=EventKind.PULL_REQUEST, ref="refs/pull/7/head", pull_request=pull
    )
    assert (
        'href="https://forge.test/me/shop/pulls/7"'
        in (await check(world, f"/runs/{story.run}")).text
    )


async def test_an_approver_gets_a_typed_form_and_others_are_told_whom_to_ask(world):
    story = await waiting_run(world)
    text = (await check(world, f"/runs/{story.run}", who="grace")).text
    assert re.search(r'name="input.percent" type="number" step="1" required', text)
    assert re.search(r'name="input.share" type="number" step="any" required', text)
    assert re.search(r'name="input.note" type="text"', text)
    assert re.search(r'type="checkbox" name="input.sure"', text)
    text = (await check(world, f"/runs/{story.run}", who="ada")).text
    assert "ask one of @ops" in text and 'value="approve"' not in text


RULED = GateTerms(
    inputs={"percent": "int", "env": "str", "tag": "str", "dry": "bool", "ratio": "float"},
    rules={
        "percent": InputRule(required=False, default=25, min=1, max=100, help="How <much>?"),
        "env": InputRule(choices=["eu", "us"]),
        "tag": InputRule(required=False, pattern=r"v\d+", max_length=9),
        "dry": InputRule(required=False, default=True),
        "ratio": InputRule(required=False, default=0.5, min=0.25, choices=[]),
    },
)


async def test_the_form_shows_choices_defaults_limits_and_help(world):
    story = await waiting_run(world, terms=RULED)
    text = (await check(world, f"/runs/{story.run}", who="grace")).text
    percent = re.search(r'<input [^>]*name="input.percent"[^>]*>', text)[0]
    assert 'type="number" step="1" value="25" min="1" max="100"' in percent
    assert "How &lt;much&gt;?" in text
    env = re.search(r'<select [^>]*name="input.env" required>.*?</select>', text, re.S)[0]
    assert re.findall(r'value="(\w*)"', env) == ["", "eu", "us"] and "selected" not in env
    tag = re.search(r'<input [^>]*name="input.tag"[^>]*>', text)[0]
    assert 'maxlength="9" pattern="v\\d+"' in tag and "required" not in tag
    assert re.search(r'name="input.dry" value="true" checked', text)
    assert re.search(r'name="input.ratio" type="number" step="any" value="0.5" min="0.25"', text)


@pytest.mark.parametrize(
    ("form", "inputs"),
    [
        ({}, {"percent": 25, "env": "us", "tag": None, "dry": False, "ratio": 0.5}),
        (
            {"input.percent": "7", "input.tag": "v2", "input.dry": "true", "input.ratio": ""},
            {"percent": 7, "env": "us", "tag": "v2", "dry": True, "ratio": 0.5},
        ),
        ({"input.percent": "", "input.tag": ""}, {"percent": 25, "tag": None}),
    ],
)
async def test_what_a_form_leaves_out_is_its_default(world, form, inputs):
    story = await waiting_run(world, terms=RULED)
    data = {"key": "approve", "decision": "approve", "input.env": "us", **form}
    await check(world, f"/runs/{story.run}/gates", who="grace", data=data)
    given = await newest_input(world, story)
    assert given.inputs.items() >= inputs.items()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"input.percent": "101"}, "input 'percent' must be at most 100, not 101"),
        ({"input.env": "mars"}, "input 'env' must be one of eu, us, not 'mars'"),
        ({"input.env": ""}, "input 'env' must be one of eu, us, not ''"),
        ({"input.tag": "2"}, r"input 'tag' must have the form v\d+, not '2'"),
    ],
)
async def test_a_form_that_breaks_a_rule_gets_a_page_that_names_it(world, form, said):
    story = await waiting_run(world, terms=RULED)
    data = {"key": "approve", "decision": "approve", "input.env": "us", **form}
    answer = await check(world, f"/runs/{story.run}/gates", who="grace", data=data)
    assert answer.status_code == 422
    assert said.removeprefix("input ") in answer.text.replace("&#39;", "'")


async def test_an_approval_on_the_page_opens_the_gate_with_typed_inputs(world):
    story = await waiting_run(world)
    answer = await check(world, f"/runs/{story.run}/gates", who="grace", data=GIVEN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{story.run}")
    given = await newest_input(world, story)
    assert isinstance(given, GateAnswered)
    assert (given.approved, given.by, given.comment) == (True, "grace", "go")
    assert given.inputs == {"percent": 25, "share": 0.5, "note": "", "sure": False}


async def test_a_step_that_waits_for_its_next_attempt_can_be_retried_now_on_the_page(world):
    story = await Story(world, 1).begin()
    await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
    lost = Result(kind=StepKind.JOB, key="unit", state=StepState.RETRYING)
    pause = OpenPause(key="unit", attempt=2, due=NOW + 3600)
    await story.turn(results=[lost], wanted=Open(pauses=[pause]), wake_at=pause.due)
    text = (await check(world, f"/runs/{story.run}")).text
    assert "a retry of unit" in text and "Retry now" in text
    answer = await check(world, f"/runs/{story.run}/retry", data={"key": "unit"})
    assert answer.status_code == 303
    given = await newest_input(world, story)
    assert (given.key, given.attempt, given.by) == ("unit", 2, "ada")
    answer = await check(world, f"/runs/{story.run}/retry", data={"key": "unit"})
    assert answer.status_code == 409 and "is wanted already, by ada" in answer.text


async def test_a_rejection_needs_no_inputs(world):
    story = await waiting_run(world)
    form = {"key": "approve", "decision": "reject", "input.percent": "", "comment": "not today"}
    await check(world, f"/runs/{story.run}/gates", who="grace", data=form)
    given = await newest_input(world, story)
    assert (given.approved, given.inputs, given.comment) == (False, {}, "not today")


@pytest.mark.parametrize(
    ("who", "changes", "status", "said"),
    [
        ("ada", {}, 403, "its approvers are @ops"),
        ("grace", {"input.percent": "many"}, 422, "must be of type int"),
        ("grace", {"key": "other"}, 409, "is not waiting"),
        ("grace", {"decision": ""}, 422, "two buttons"),
    ],
)
async def test_an_answer_that_is_not_accepted_gets_a_page_with_the_reason(
    world, who, changes, status, said
):
    story = await waiting_run(world)
    answer = await check(world, f"/runs/{story.run}/gates", who=who, data={**GIVEN, **changes})
    assert answer.status_code == status
    assert said in answer.text.replace("&#39;", "'") and "<html" in answer.text
    assert not isinstance(await newest_input(world, story), GateAnswered)


async def test_a_cancel_on_the_page_asks_the_run_to_end(world):
    story = await running_run(world)
    answer = await check(world, f"/runs/{story.run}/cancel", data={"reason": "enough"})
    assert answer.status_code == 303
    given = await newest_input(world, story)
    assert isinstance(given, CancelRequested) and given.reason == "enough"


async def test_a_double_click_on_cancel_is_one_cancel_and_a_later_click_another(world):
    story = await running_run(world)
    for seconds, count in [(0, 1), (4, 1), (2, 2)]:
        story.later(seconds)
        await check(world, f"/runs/{story.run}/cancel", data={"reason": ""})
        inputs = await world.history.inputs_after(story.run, 0)
        assert sum(isinstance(one.input, CancelRequested) for one in inputs) == count


async def test_a_paused_run_says_who_holds_it_and_can_be_resumed(world):
    story = await waiting_run(world)
    assert f'action="/runs/{story.run}/pause"' in (await check(world, f"/runs/{story.run}")).text
    await check(world, f"/runs/{story.run}/pause", data={"reason": "lunch"})
    given = await newest_input(world, story)
    assert isinstance(given, PauseRequested) and (given.by, given.reason) == ("ada", "lunch")
    await story.turn(paused=Paused(by="ada", since=NOW, reason="lunch"))
    text = (await check(world, f"/runs/{story.run}")).text
    assert "paused by ada since 2027-01-15 08:00 UTC: lunch" in text
    assert f'action="/runs/{story.run}/pause"' not in text
    listed = (await check(world, "/?state=paused")).text
    assert "Paused" in listed and "paused by ada since" in listed
    await check(world, f"/runs/{story.run}/resume", data={})
    assert isinstance(await newest_input(world, story), ResumeRequested)


async def test_a_run_that_does_not_end_when_it_is_cancelled_can_be_killed(world):
    story = await waiting_run(world)
    kill = f'action="/runs/{story.run}/kill"'
    assert kill not in (await check(world, f"/runs/{story.run}")).text
    await story._input(CancelRequested(id="c", by="ada"))
    assert kill in (await check(world, f"/runs/{story.run}")).text
    await check(world, f"/runs/{story.run}/kill", data={})
    assert isinstance(await newest_input(world, story), KillRequested)


async def test_the_api_pauses_resumes_and_kills_and_refuses_what_changes_nothing(world):
    story = await waiting_run(world)
    path = f"/api/v1/runs/{story.run}"
    async with client_of(world) as client:

        async def told(act):
            answer = await client.post(f"{path}/{act}", headers=OURS, json={"reason": ""})
            return answer.status_code, answer.json().get("detail", "")

        assert await told("resume") == (409, f"run {story.run} is not paused")
        assert await told("pause") == (202, "")
        assert await told("pause") == (409, f"run {story.run} is paused already, by ada")
        assert await told("resume") == (202, "")
        assert await told("kill") == (202, "")


@pytest.mark.parametrize(("data", "kept"), [({}, []), ({"failed_only": "yes"}, ["unit"])])
async def test_a_run_that_is_over_is_run_again_as_its_next_attempt(world, data, kept):
    story = await waiting_run(world)
    story.later()
    await story.turn(end=End(state=RunState.CANCELLED))
    answer = await check(world, f"/runs/{story.run}/again", data=data)
    assert answer.status_code == 303
    again = answer.headers["location"].removeprefix("/runs/")
    started = await world.history.started(again)
    assert (started.rerun.of, started.rerun.attempt, started.rerun.by) == (story.run, 2, "ada")
    assert [one.key for one in started.recalled] == kept


async def test_a_run_is_exported_through_the_api(world):
    bundle = Bundle(files={".staunch/pipeline.py": "async def run(event, step): ...\n"})
    story = await Story(world).begin(bundle=await world.bundles.put(bundle))
    await story.turn(job("unit"))
    answer = await check(world, f"/api/v1/runs/{story.run}/export")
    export = decode_export(answer.content)
    assert (export.started.run, len(export.turns), export.bundle) == (story.run, 1, bundle)
    gone = await waiting_run(world, 2)
    assert (await check(world, f"/api/v1/runs/{gone.run}/export")).status_code == 409


async def test_attempts_of_the_same_lead_to_each_other(world):
    first = await failed_run(world, 1)
    rerun = Rerun(of=first.run, origin=first.run, attempt=2, by="ada")
    second = await Story(world, 2).begin(rerun=rerun)
    kept = Result(kind=StepKind.JOB, key="unit", state=StepState.SUCCEEDED, recalled_from=first.run)
    await second.turn(job("unit"), results=[kept])
    text = (await check(world, f"/runs/{first.run}")).text
    assert f'<a href="/runs/{second.run}">attempt 2</a>' in text and "Only what failed" in text
    text = (await check(world, f"/runs/{second.run}")).text
    assert f'<a href="/runs/{first.run}">attempt 1</a>' in text
    assert f"recalled from run {first.run}" in text
    shown = (await check(world, f"/api/v1/runs/{second.run}")).json()
    assert shown["attempts"] == [], "nobody was asked to do it again"
    assert shown["reruns"] == [{"run": first.run, "attempt": 1, "state": "failed"}]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": None, "origin": "https://evil.test"},
        {"sec-fetch-site": None, "origin": "null"},
        {"sec-fetch-site": None},
    ],
)
@pytest.mark.parametrize("act", ["gates", "cancel", "pause", "resume", "kill", "again"])
async def test_a_form_of_another_site_does_nothing(world, headers, act):
    story = await waiting_run(world)
    sent = {name: value for name, value in headers.items() if value}
    async with client_of(world, "grace") as client:
        answer = await client.post(f"/runs/{story.run}/{act}", data=GIVEN, headers=sent)
    assert answer.status_code == 403
    assert not isinstance(await newest_input(world, story), GateAnswered | CancelRequested)


async def test_a_stranger_is_led_to_the_login_and_back(world):
    story = await running_run(world)
    answer = await check(world, f"/runs/{story.run}?job=eu/unit", who="")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next=/runs/{story.run}%3Fjob%3Deu/unit"


async def test_who_comes_from_another_site_gets_a_second_request_of_our_own(world):
    answer = await check(
        world, '/runs/x?a="><script>', who="", headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text and "<script>" not in answer.text


async def test_a_login_sets_a_cookie_that_no_script_and_no_other_site_can_use(world):
    form = {"token": f" {SECRETS['ada']}\n", "next": "/deliveries"}
    answer = await check(world, "/login", who="", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/deliveries")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert SECRETS["ada"] not in answer.text


async def test_a_wrong_token_is_refused_and_sets_no_cookie(world):
    answer = await check(world, "/login", who="", data={"token": "stn_wrong", "next": "/"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers and "not a token" in answer.text


async def test_a_login_from_another_site_is_refused(world):
    form = {"token": SECRETS["ada"]}
    answer = await check(
        world, "/login", who="", data=form, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


async def test_a_logout_forgets_the_cookie(world):
    answer = await check(world, "/logout", data={})
    assert answer.status_code == 303
    assert 'staunch_token=""' in answer.headers["set-cookie"]


async def test_a_revoked_token_is_a_stranger(world):
    for digest, token in world.directory.tokens.items():
        world.directory.tokens[digest] = type(token)(
            digest=digest, name=token.name, admin=token.admin, revoked=True
        )
    assert (await check(world, "/")).headers["location"] == "/login?next=/"


async def test_deliveries_say_what_became_of_each(world):
    story = await running_run(world)
    world.delivered("d-1", runs=[story.run])
    world.delivered("d-2", reason="no pipeline runs on push of refs/heads/side")
    text = (await check(world, "/deliveries")).text
    assert f'href="/runs/{story.run}"' in text
    assert "no pipeline runs on push" in text and "Ignored" in text


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


async def test_schedules_say_when_they_are_due_and_what_became_of_the_last_time(world):
    assert "on.schedule(" in (await check(world, "/schedules")).text
    await scheduled(world)
    text = (await check(world, "/schedules")).text
    assert "nightly" in text and "Europe/Berlin" in text and "in 2h 00m" in text
    assert 'href="/runs/1-00000000000000000001"' in text
    assert RUNNING_STILL in text


async def test_a_schedule_is_paused_resumed_and_run_from_its_page(world):
    await scheduled(world)
    form = {"repo": "tea/7", "name": "pipeline/nightly"}
    answer = await check(world, "/schedules/pause", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/schedules")
    text = (await check(world, "/schedules")).text
    assert "Paused" in text and "<bdi>ada</bdi>" in text and 'action="/schedules/resume"' in text
    await check(world, "/schedules/resume", data=form)
    assert 'action="/schedules/pause"' in (await check(world, "/schedules")).text
    await check(world, "/schedules/run-now", data=form)
    (rung,) = world.timetables.rings.owed.values()
    assert (rung.item.name, rung.item.by) == ("nightly", "ada")


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/schedules/pause", {"repo": "tea/7", "name": "weekly"}, 404),
        ("/schedules/pause", {"repo": "tea/8", "name": "nightly"}, 404),
        ("/schedules/pause", {}, 404),
        ("/schedules/burn", {"repo": "tea/7", "name": "nightly"}, 404),
    ],
)
async def test_what_is_wrong_with_an_act_on_a_schedule_is_said_on_a_page(world, path, form, status):
    await scheduled(world)
    answer = await check(world, path, data=form)
    assert answer.status_code == status and "<html" in answer.text
    assert not world.timetables.rings.owed


async def test_the_page_of_a_scheduled_run_names_its_schedule(world):
    facts = {"name": "nightly", "cron": "0 3 * * *", "tz": "UTC", "due": NOW, "overlap": "skip"}
    story = await Story(world).begin(
        kind=EventKind.SCHEDULE, sender="", message="", schedule=Scheduled(**facts)
    )
    text = (await check(world, f"/runs/{story.run}")).text
    assert "<h1><bdi>nightly</bdi></h1>" in text and "its schedule" in text


@pytest.mark.parametrize("path", ["/nothing", "/runs/1-nothere", "/runs/zzz", "/static/none.js"])
async def test_what_is_not_there_gets_a_page_that_leads_on(world, path):
    answer = await check(world, path)
    assert answer.status_code == 404
    assert "<html" in answer.text and 'href="/"' in answer.text


@pytest.mark.parametrize("path", [f"{prefix}nothing" for prefix in FOR_MACHINES])
async def test_machines_get_problems_not_pages(world, path):
    answer = await check(world, path)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wrong_method_of_the_api_is_still_told_as_such(world):
    answer = await check(world, "/api/v1/whoami", data={})
    assert answer.status_code == 405


async def test_a_form_that_is_too_large_is_refused(world):
    story = await waiting_run(world)
    form = {**GIVEN, "comment": "x" * 70_000}
    answer = await check(world, f"/runs/{story.run}/gates", who="grace", data=form)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/", "/login", "/deliveries", "/schedules", "/nothing", "/static/live.js"]
)
async def test_every_answer_carries_the_security_headers(world, path):
    headers = (await check(world, path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


async def test_pages_have_no_inline_scripts_and_no_inline_styles(world):
    await waiting_run(world, 1)
    await failed_run(world, 2)
    await scheduled(world)
    for path in ("/", "/login", "/deliveries", "/schedules", "/docs/api",
                 "/runs/1-00000000000000000001", "/runs/1-00000000000000000002"):  # fmt: skip
        text = (await check(world, path, who="grace")).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"<style|\sstyle=|\son\w+=", text)


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "</pre></title></textarea><svg onload=alert(1)>",
)


@pytest.mark.parametrize("evil", HOSTILE)
async def test_text_from_outside_stays_text(world, evil):
    terms = GateTerms(approvers=[evil], inputs={evil: "str"}, message=evil)
    assert terms != TERMS
    note = Annotation(file=evil, line=1, message=evil, level=evil)
    story = await failed_run(
        world, log=f"=== {evil}\n{evil}\n", annotations=[note], message=evil,
        ref=f"refs/heads/{evil}", sender=evil,
    )  # fmt: skip
    world.delivered(evil, reason=evil)
    await scheduled(world, name=evil)
    for path in ("/", f"/runs/{story.run}", f"/runs/{story.run}/fragment", "/deliveries",
                 "/schedules"):  # fmt: skip
        text = (await check(world, path)).text
        for tag in ("<script>", "<img", "<svg onload", "</textarea"):
            assert tag not in text
        assert not re.search(r"""\s(onerror|onmouseover|onload)=["'a]""", unquoted(text))
        assert not re.search(r'href="\s*javascript:', text)
        assert ">49" not in text


def unquoted(text: str) -> str:
    """The markup without what stands in attributes: there, anything is text."""
    return re.sub(r'"[^"]*"', '""', re.sub(r">[^<]*<", "><", text))


@pytest.mark.parametrize(
    "clone_url",
    ["javascript:alert(1)//x.git", "https://user:pass@forge.test/me/shop.git", "/srv/shop.git"],
)
async def test_no_link_is_made_of_a_clone_url_but_its_host_and_path(tmp_path, clone_url):
    world = World(tmp_path, clone_url=clone_url)
    story = await failed_run(world)
    text = (await check(world, f"/runs/{story.run}")).text
    assert "pass" not in text and "javascript:" not in text and "/srv/shop" not in text
    world.model.close()
