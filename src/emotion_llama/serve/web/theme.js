// Before the first paint: the theme and language that were chosen last, so that nothing flashes. A classic script.
(() => {
  const root = document.documentElement;
  let theme = null;
  let language = null;
  try {
    theme = localStorage.getItem("theme");
    language = localStorage.getItem("language");
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  root.lang = language === "zh" || language === "en" ? language : (navigator.language || "en").startsWith("zh") ? "zh" : "en";
})();
