// "Use it in Try" and "Use it in Live": go there with the new task chosen.
document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.(".sp-use[data-tab]");
  if (!button) return;
  const field = button.dataset.tab === "Live" ? "sp-live-task" : "sp-task"; // page.js goes to the tab
  for (let i = 0; i < 100; i++) {
    const select = document.getElementById(field);
    if (select?.offsetParent && [...select.options].some((one) => one.value === button.dataset.task)) {
      select.value = button.dataset.task;
      select.dispatchEvent(new Event("change", { bubbles: true }));
      return select.focus();
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});
