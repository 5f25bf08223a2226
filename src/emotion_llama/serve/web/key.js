// The API key or token that goes with every call, and where the browser remembers it.

let key = null;

export function useKey(value) {
  key = value || null;
  try {
    if (key) sessionStorage.setItem("key", key);
    else sessionStorage.removeItem("key");
  } catch {
    // Then it is asked for again after a reload.
  }
}

/** The token of the link that the server printed; remembered for other tabs, and taken out of the address. */
export function takeToken() {
  const [, token] = /^#token=([\w-]+)$/.exec(location.hash) ?? [];
  if (!token) return;
  useKey(null); // of an earlier server at this address
  key = token;
  history.replaceState(history.state, "", location.pathname + location.search);
  try {
    localStorage.setItem("token", token);
  } catch {
    // Then other tabs ask for it.
  }
}

export function storedKey() {
  try {
    key ??= sessionStorage.getItem("key") ?? localStorage.getItem("token");
  } catch {
    // Storage may be forbidden.
  }
  return key;
}
