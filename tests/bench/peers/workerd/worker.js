// workerd's built-in workflow engine: the same workloads as ours. Each path does one thing and
// answers with the milliseconds that it took, measured here: no HTTP is in them.
import { WorkflowEntrypoint } from "cloudflare:workers";

// A run tells its end, and that it waits, in the memory of this isolate: what it stores after that
// is not waited for, which is to this engine's advantage.
const ended = new Map();
const begun = new Map();

function told(map, id) {
  return new Promise((resolve) => map.set(id, resolve));
}

export class Steps extends WorkflowEntrypoint {
  async run(event, step) {
    let total = 0;
    for (let number = 0; number < event.payload.count; number++) {
      total += await step.do(`echo ${number}`, async () => number);
    }
    ended.get(event.instanceId)?.();
    return total;
  }
}

export class Waiting extends WorkflowEntrypoint {
  async run(event, step) {
    begun.get(event.instanceId)?.();
    const said = await step.waitForEvent("go", { type: "go", timeout: "1 minute" });
    const echo = await step.do("echo", async () => said.payload);
    ended.get(event.instanceId)?.();
    return echo;
  }
}

async function runSteps(env, count) {
  const id = crypto.randomUUID();
  const end = told(ended, id);
  await env.STEPS.create({ id, params: { count } });
  await end;
  ended.delete(id);
}

async function resume(env) {
  const id = crypto.randomUUID();
  const start = told(begun, id);
  const end = told(ended, id);
  const instance = await env.WAITING.create({ id, params: {} });
  await start;
  // It has to wait before it is told; there is nothing to ask for that.
  await scheduler.wait(100);
  const began = performance.now();
  await instance.sendEvent({ type: "go", payload: 1 });
  await end;
  return performance.now() - began;
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const runs = Number(url.searchParams.get("runs") ?? 1);
    const count = Number(url.searchParams.get("count") ?? 1);
    if (url.pathname === "/resume") {
      return Response.json(await resume(env));
    }
    const began = performance.now();
    await Promise.all(Array.from({ length: runs }, () => runSteps(env, count)));
    return Response.json(performance.now() - began);
  },
};
