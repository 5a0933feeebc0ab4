// Whether the server answers. What is asked while it does not is held here and asked again as soon as it does: gradio
// would give it up, and then load the page anew, without what was recorded. One sentence on every tab says so.
(() => {
  const EVERY = 2000; // ms between two questions while it does not answer
  const LOST = "The server does not answer: keep the page open, it goes on as soon as the server does.";
  const NEW = "The server was started anew and has forgotten what was recorded here: reload the page.";
  const ask = window.fetch.bind(window);
  let first = "", asking = null, waiting = null, leaving = false;
  addEventListener("pagehide", () => (leaving = true));
  addEventListener("pageshow", () => (leaving = false));

  function say(text) {
    const line = document.getElementById("sp-lost") || document.createElement("p");
    if (!text) return line.remove();
    line.id = "sp-lost";
    line.setAttribute("role", "alert");
    if (!line.isConnected) document.body.append(line);
    if (line.textContent !== text) line.textContent = text;
  }
  async function question() {
    let name = "";
    try {
      const found = await ask(`${location.pathname.replace(/\/$/, "")}/gradio_api/app_id`, { cache: "no-store" });
      if (found.ok) name = String((await found.json()).app_id);
    } catch {}
    first ||= name;
    say(!name ? LOST : name !== first ? NEW : "");
    asking = null;
    return name;
  }
  // The name of the server's process, "" where none answers; however many requests fail, it is asked one question.
  const process = () => (asking ||= question());
  // Resolves once a server answers, to the name of its process.
  async function wait() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, EVERY));
      const name = await process();
      if (!name) continue;
      waiting = null;
      return name;
    }
  }

  window.fetch = async (...request) => {
    for (;;) {
      try {
        return await ask(...request);
      } catch (error) {
        const address = new URL(request[0]?.url || request[0], location.href);
        if (error.name !== "TypeError" || address.origin !== location.origin || leaving) throw error;
        if (await process()) throw error; // the server answers, so it is this request that fails
        if ((await (waiting ||= wait())) !== first) throw error; // another process knows nothing of this page
      }
    }
  };
  process(); // who it is, to know it again
})();
