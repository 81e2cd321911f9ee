"use strict";
const said = document.getElementById("said");
for (const button of document.querySelectorAll("button.copy")) {
  const secret = button.closest(".part").querySelector(".secret");
  const words = button.textContent;
  let since;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(secret.textContent);
    } catch {
      getSelection().selectAllChildren(secret); // without leave to copy, or without HTTPS: at least it is selected
      return;
    }
    button.textContent = button.dataset.copied;
    said.textContent = "";
    requestAnimationFrame(() => { said.textContent = button.dataset.copied; });
    clearTimeout(since);
    since = setTimeout(() => { button.textContent = words; }, 2500);
  });
}
