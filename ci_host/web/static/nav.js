/* Nav: how many gates wait for whoever looks, beside the link to them. */

async function count() {
  const link = document.querySelector("a[data-inbox]");
  if (!link) return;
  try {
    const answer = await fetch("/inbox/count", { cache: "no-store" });
    if (!answer.ok || answer.redirected) return;
    const found = (await answer.json()).count;
    link.querySelector(".count")?.remove();
    if (!found) return;
    const shown = document.createElement("span");
    shown.className = "count";
    shown.textContent = found;
    link.append(" ", shown);
  } catch {
    // The page says so itself, where it is live.
  }
}

count();
const unlessHidden = () => document.hidden || count();
setInterval(unlessHidden, 30_000);
document.addEventListener("visibilitychange", unlessHidden);
