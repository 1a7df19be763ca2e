/* Nav: how many gates wait for whoever looks, beside the link to them; and the menu. */

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

/* The rest of the pages: closed by Escape, or by going elsewhere. */

const more = document.querySelector(".more");

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !more?.open) return;
  more.open = false;
  more.querySelector("summary").focus();
});
for (const kind of ["click", "focusin"]) {
  document.addEventListener(kind, (event) => {
    if (more?.open && !more.contains(event.target)) more.open = false;
  });
}

count();
const unlessHidden = () => document.hidden || count();
setInterval(unlessHidden, 30_000);
document.addEventListener("visibilitychange", unlessHidden);
