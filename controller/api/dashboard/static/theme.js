// Applies the theme before the page is drawn: the user's choice, or the system's setting.
"use strict";
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const apply = () => {
    document.documentElement.dataset.theme = chosen() ?? (system.matches ? "dark" : "light");
    const button = document.getElementById("theme");
    if (button) button.textContent = { dark: "Dark", light: "Light" }[chosen()] ?? "Auto";
  };
  system.addEventListener("change", apply);
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    const button = document.getElementById("theme");
    if (!button) return;
    button.disabled = false;
    button.addEventListener("click", () => {
      const next = { null: "light", light: "dark", dark: null }[chosen()];
      try { next ? localStorage.setItem("theme", next) : localStorage.removeItem("theme"); } catch { /* storage is not available: the theme stays Auto */ }
      apply();
    });
  });
})();
