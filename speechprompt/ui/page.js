// The copy button. One listener on the document, because the answer's HTML is replaced with every answer.
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
})();
