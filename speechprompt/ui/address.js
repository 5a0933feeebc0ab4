// What is shown has an address: ?tab=…&task=…&example=…, which reload, Back and a shared link come back to.
(() => {
  const wait = async (find, n = 300) => {
    for (let i = 0; i < n; i++) {
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
  let turn = 0, own = false; // what an address asks for is given up as soon as a person chooses something
  function quietly(act) {
    own = true;
    try {
      act();
    } finally {
      own = false;
    }
  }

  function title(state) {
    const tab = state.get("tab") || "try", name = `${tab[0].toUpperCase()}${tab.slice(1)}`;
    const task = select(tab)?.selectedOptions[0]?.textContent;
    const names = tab === "try" ? [task] : tab === "live" ? [task, name] : [name];
    document.title = [...names, "SpeechPrompt"].filter(Boolean).join(" · ");
  }

  function note(changes, replaces = false) {
    const state = new URLSearchParams(location.search), before = state.toString();
    for (const [name, value] of Object.entries(changes)) value ? state.set(name, value) : state.delete(name);
    title(state);
    if (state.toString() === before) return;
    history[replaces ? "replaceState" : "pushState"](null, "", `${location.pathname}?${state}`);
  }

  async function apply() {
    const state = new URLSearchParams(location.search), mine = ++turn;
    const until = async (find, n) => (await wait(() => turn !== mine || find(), n)) && turn === mine;
    if (!(await until(() => document.querySelector("#sp-task-hint")?.textContent))) return;
    const tab = tabs().find((one) => nameOf(one) === (state.get("tab") || "try"));
    if (tab && tab.getAttribute("aria-selected") !== "true") quietly(() => tab.click());
    if (!(await until(() => select()?.options.length))) return; // gradio makes a tab when it is opened first
    const task = state.get("task"), example = state.get("example");
    const known = !task || [...select().options].some((one) => one.value === task);
    if (!known) gone("task", task);
    else if (task && select().value !== task) {
      select().value = task;
      quietly(() => select().dispatchEvent(new Event("change", { bubbles: true })));
    }
    title(state);
    if (!example || !known) return;
    const found = (await until(() => button(example), 80)) && button(example);
    if (found && found.getAttribute("aria-pressed") !== "true") quietly(() => found.click());
    else if (!found && turn === mine) gone("example", example);
  }

  // A link that is older than what is here: said under the list of tasks, until a task is chosen.
  function gone(what, name) {
    const hint = select().parentElement.querySelector(".sp-hint");
    if (hint) hint.textContent = `The link’s ${what} “${name.slice(0, 40)}” is no longer here: choose another.`;
    note({ [what]: "" }, true);
  }

  document.addEventListener("click", ({ target }) => {
    if (own) return;
    const tab = target.closest?.(".sp-tabs [role=tab]");
    if (tab) {
      turn++;
      const name = nameOf(tab), chosen = document.querySelector(".sp-say .sp-examples button[aria-pressed=true]");
      const example = name === "live" || name === "teach" ? "" : chosen?.dataset.name;
      note({ tab: name, task: select(name)?.value, example });
    }
    const example = target.closest?.(".sp-say .sp-examples button");
    if (example) turn++;
    if (example && select()) note({ task: select().value, example: example.dataset.name });
  });
  document.addEventListener("change", ({ target }) => {
    if (own || target !== select()) return;
    turn++;
    note({ task: target.value, example: "" });
  });
  addEventListener("popstate", apply);
  if (location.search) apply(); // it waits for what it needs: gradio runs this before or after the page is there
})();
