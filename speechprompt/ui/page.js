// The unit ribbon (pointing and arrow keys) and the copy button. One listener each on the document,
// because the answer's HTML is replaced with every answer.
(() => {
  const runs = (ribbon) => Array.from(ribbon.children);

  function show(run) {
    const ribbon = run.parentElement;
    ribbon.querySelector("[aria-selected]")?.removeAttribute("aria-selected");
    run.setAttribute("aria-selected", "true");
    ribbon.setAttribute("aria-activedescendant", run.id);
    const readout = ribbon.closest(".sp-heard").querySelector(".sp-readout");
    const text = run.getAttribute("aria-label");
    if (readout.textContent === text) return;
    const swatch = document.createElement("i");
    swatch.style.background = run.style.background;
    readout.replaceChildren(swatch, text);
  }

  for (const type of ["pointerover", "pointerdown"]) {
    document.addEventListener(type, (event) => {
      const run = event.target.closest?.(".sp-ribbon > i");
      if (run) show(run);
    });
  }

  document.addEventListener("focusin", (event) => {
    if (!event.target.matches?.(".sp-ribbon")) return;
    const ribbon = event.target;
    const first = ribbon.querySelector("[aria-selected]") || ribbon.firstElementChild;
    if (first) show(first);
  });

  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.(".sp-ribbon")) return;
    const all = runs(event.target);
    const at = all.findIndex((run) => run.hasAttribute("aria-selected"));
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all.length) return;
    event.preventDefault();
    const run = all[Math.min(Math.max(to, 0), all.length - 1)];
    show(run);
    run.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.(".sp-copy");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      // Without clipboard rights (plain http): select the text, the user's own shortcut does the rest.
      getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
})();
