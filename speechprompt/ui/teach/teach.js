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

// A browser tells the server no folders: a folder becomes its recordings and a table of their labels.
window.spLabelled = (input) => {
  const sound = new RegExp(`\\.(${input.dataset.suffixes})$`, "i");
  const hidden = /(^|\/)(\.|__MACOSX\/)/;
  const sounds = [...input.files].filter((file) => sound.test(file.name) && !hidden.test(file.webkitRelativePath));
  if (!sounds.length) return [];
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const table = ["file,label"], files = [];
  sounds.forEach((file, i) => {
    const name = `${i + 1}-${file.name.replace(/[^\w.-]/g, "")}`;
    table.push(`${quoted(name)},${quoted(file.webkitRelativePath.split("/").at(-2) || "")}`);
    files.push(new File([file], name, { type: file.type }));
  });
  return [...files, new File([table.join("\n")], "labels.csv", { type: "text/csv" })];
};
