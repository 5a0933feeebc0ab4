// What belongs to the whole page: the copy button, the key R, files dropped or pasted anywhere, and what is said
// while an answer is on its way. Listeners sit on the document, because answers are replaced with every answer.
(() => {
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

  const seen = (selector) => [...document.querySelectorAll(selector)].find((one) => one.offsetParent);
  const recorder = () => seen(".sp-recorder .sp-strip")?.parentElement; // on a phone the button is fixed: it has no offsetParent
  // In Teach the cards record too: while nothing else does, or the focus is on one.
  const byKey = () => {
    const cards = seen(".sp-label-cards:has(.sp-label-card)");
    return cards && (!recorder() || cards.contains(document.activeElement)) ? cards : recorder();
  };
  const tell = (target, name, detail) => target?.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));

  // R records; pressed again, or let go after it was held, it stops.
  const HELD = 600; // ms
  let pressed = 0;
  const types = (target) => target.closest?.("input:not([type=checkbox], [type=file]), textarea, select, [contenteditable]");
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "r" || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (types(event.target) || !byKey()) return;
    event.preventDefault();
    pressed = performance.now();
    tell(byKey(), "sp-record");
  });
  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() !== "r" || !pressed) return;
    if (performance.now() - pressed > HELD) tell(byKey(), "sp-record", "stop");
    pressed = 0;
  });

  // A file that is let go anywhere is for the recorder (or the clips) in view; the browser never opens it.
  function take(files) {
    if (!files.length) return false;
    const many = seen("#sp-teach-files, #sp-batch");
    if (many && (files.length > 1 || !recorder())) {
      const input = many.querySelector("input[type=file]"), moved = new DataTransfer();
      for (const file of files) moved.items.add(file);
      input.files = moved.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    } else tell(recorder(), "sp-file", files[0]);
    return true;
  }
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (event.target.closest?.("input[type=file], .sp-folder, [data-testid=file-upload], button.center")) return;
    event.preventDefault();
    take([...(event.dataTransfer?.files || [])]);
  });
  document.addEventListener("paste", (event) => {
    if (take([...(event.clipboardData?.files || [])])) event.preventDefault();
  });

  // gradio says "queue: 2/3 | 1.0s" in a corner; people are told in words, where the answer will be.
  setInterval(() => {
    for (const line of document.querySelectorAll(".sp-wait")) {
      const text = line.closest(".block")?.querySelector(".progress-text")?.textContent || "";
      const [, place, all, since] = text.match(/queue: (\d+)\/(\d+)\s*\|\s*([\d.]+)/) || [];
      const waits = place > 1 ? `You are number ${place} of ${all} in the queue.` : since > 1 ? "You are next in the queue." : "";
      const words = text ? waits || (line.dataset.doing ?? "Answering…") : "";
      if (line.textContent !== words) line.textContent = words;
    }
  }, 150);
})();

// What is remembered in this browser: which details are open, and whether a comparison is a table or cards. And
// the links from an answer to another task or tab.
(() => {
  const open = new Set(JSON.parse(localStorage.getItem("sp-open") || "[]"));
  const apply = (root) => {
    for (const fold of root.querySelectorAll?.(".sp-fold[data-fold]") || []) {
      const isOpen = open.has(fold.dataset.fold);
      if (fold.open !== isOpen) fold.open = isOpen; // what is set anew is a change again, for ever
    }
    const cards = document.documentElement.classList.contains("sp-as-cards");
    for (const button of root.querySelectorAll?.(".sp-views button") || []) {
      button.setAttribute("aria-pressed", (button.dataset.view === "cards") === cards);
    }
  };
  document.documentElement.classList.toggle("sp-as-cards", localStorage.getItem("sp-view") === "cards");
  new MutationObserver((changes) => {
    for (const change of changes) {
      // Gradio writes a new answer over the old one, closed as it comes from the server.
      if (change.type === "attributes") apply(change.target.parentElement);
      for (const node of change.addedNodes) if (node.nodeType === 1) apply(node.parentElement || node);
    }
  }).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["open"] });
  const keep = (fold, isOpen) => {
    isOpen ? open.add(fold.dataset.fold) : open.delete(fold.dataset.fold);
    localStorage.setItem("sp-open", JSON.stringify([...open]));
  };
  document.addEventListener("click", ({ target }) => {
    const folded = target.closest?.(".sp-fold[data-fold] > summary")?.parentElement;
    if (folded) keep(folded, !folded.open);
    const view = target.closest?.(".sp-views button");
    if (view) {
      localStorage.setItem("sp-view", view.dataset.view);
      document.documentElement.classList.toggle("sp-as-cards", view.dataset.view === "cards");
      apply(document);
    }
    const other = target.closest?.(".sp-other[data-task]"), select = document.querySelector("#sp-task");
    if (other && select) {
      select.value = other.dataset.task;
      select.dispatchEvent(new Event("change", { bubbles: true }));
    }
    const about = target.closest?.("[data-about]");
    const fold = about?.closest(".sp-panel")?.querySelector(".sp-fold[data-fold=about]");
    if (fold) keep(fold, true), (fold.open = true), fold.scrollIntoView({ block: "start" });
    const tab = target.closest?.("[data-tab]");
    if (tab) [...document.querySelectorAll("[role=tab]")].find((one) => one.textContent.trim() === tab.dataset.tab)?.click();
  });
})();
