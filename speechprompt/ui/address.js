// What is shown has an address: ?tab=…&task=…&example=…, which reload, Back and a shared link come back to.
(() => {
  const wait = async (find) => {
    for (let i = 0; i < 300; i++) {
      const found = find();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return null;
  };
  const tabs = () => [...document.querySelectorAll(".sp-tabs [role=tab]")];
  const nameOf = (tab) => tab.textContent.trim().toLowerCase();
  const now = () => new URLSearchParams(location.search).get("tab") || "try";
  const select = (tab = now()) => document.querySelector(tab === "live" ? "#sp-live-task" : "#sp-task");
  const button = (name) =>
    [...document.querySelectorAll(".sp-say .sp-examples button")].find((one) => one.dataset.name === name);
  let applying = false;

  function title(state) {
    const tab = state.get("tab") || "try", name = `${tab[0].toUpperCase()}${tab.slice(1)}`;
    const task = select(tab)?.selectedOptions[0]?.textContent;
    const names = tab === "try" ? [task] : tab === "live" ? [task, name] : [name];
    document.title = [...names, "SpeechPrompt"].filter(Boolean).join(" · ");
  }

  function note(changes, replaces = false) {
    if (applying) return;
    const state = new URLSearchParams(location.search), before = state.toString();
    for (const [name, value] of Object.entries(changes)) value ? state.set(name, value) : state.delete(name);
    title(state);
    if (state.toString() === before) return;
    history[replaces ? "replaceState" : "pushState"](null, "", `${location.pathname}?${state}`);
  }

  async function apply() {
    const state = new URLSearchParams(location.search);
    applying = true;
    try {
      if (!(await wait(() => document.querySelector("#sp-task-hint")?.textContent))) return;
      const tab = tabs().find((one) => nameOf(one) === (state.get("tab") || "try"));
      if (tab && tab.getAttribute("aria-selected") !== "true") tab.click();
      if (!(await wait(() => select()?.options.length))) return; // gradio makes a tab when it is opened first
      const task = state.get("task"), example = state.get("example");
      if (task && select().value !== task && [...select().options].some((one) => one.value === task)) {
        select().value = task;
        select().dispatchEvent(new Event("change", { bubbles: true }));
      }
      title(state);
      if (!example) return;
      const found = await wait(() => button(example));
      if (found && found.getAttribute("aria-pressed") !== "true") found.click();
    } finally {
      applying = false;
    }
  }

  document.addEventListener("click", ({ target }) => {
    const tab = target.closest?.(".sp-tabs [role=tab]");
    if (tab) {
      const name = nameOf(tab), chosen = document.querySelector(".sp-say .sp-examples button[aria-pressed=true]");
      const example = name === "live" || name === "teach" ? "" : chosen?.dataset.name;
      note({ tab: name, task: select(name)?.value, example });
    }
    const example = target.closest?.(".sp-say .sp-examples button");
    if (example && select()) note({ task: select().value, example: example.dataset.name });
  });
  document.addEventListener("change", ({ target }) => {
    if (target === select()) note({ task: target.value, example: "" });
  });
  addEventListener("popstate", apply);
  if (location.search) apply(); // it waits for what it needs: gradio runs this before or after the page is there
})();
