// Shows the merged description: what stands in it is written as text, never as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

const at = (id) => document.getElementById(id);

function make(name, text, ...children) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

function classed(name, text, kind) {
  const element = make(name, text);
  element.className = kind;
  return element;
}

// A schema or an answer with what it refers to in place, as far as that is not itself again.
function resolved(root, value, above = []) {
  if (Array.isArray(value)) return value.map((it) => resolved(root, it, above));
  if (value === null || typeof value !== "object") return value;
  const reference = value.$ref;
  if (typeof reference === "string" && reference.startsWith("#/")) {
    if (above.includes(reference)) return { $ref: reference };
    const words = reference.slice(2).split("/");
    const found = words.reduce((it, word) => it?.[word.replaceAll("~1", "/").replaceAll("~0", "~")], root);
    return resolved(root, found ?? { $ref: reference }, [...above, reference]);
  }
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, resolved(root, it, above)]));
}

function pretty(value) {
  return make("pre", JSON.stringify(value, null, 2));
}

function asks(operation) {
  const permission = operation["x-powernode-permission"];
  if (permission) return permission;
  const identity = operation["x-powernode-identity"];
  return { token: "any token", signed: "a signed link", extension: "the extension decides" }[identity] ?? "public";
}

function table(rows) {
  return make("table", "", ...rows.map((row) => make("tr", "", ...row.map((cell) => make("td", cell)))));
}

// Sends the request that the fields make, and shows what comes back.
function tryIt(path, method, operation) {
  const form = make("form");
  const fields = (operation.parameters ?? []).map((parameter) => {
    const input = make("input");
    input.required = Boolean(parameter.required);
    form.append(make("div", "", make("label", `${parameter.name} `, input)));
    return { parameter, input };
  });
  const medias = Object.keys(operation.requestBody?.content ?? {});
  const body = medias.length ? make("textarea") : null;
  if (body) {
    body.setAttribute("aria-label", `Body, ${medias[0]}`);
    body.value = medias[0] === "application/json" ? "{}" : "";
    form.append(body);
  }
  const output = make("pre");
  output.hidden = true;
  form.append(make("button", "Send"), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let address = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      if (parameter.in === "query" && input.value) query.set(parameter.name, input.value);
    }
    if ([...query].length) address += `?${query}`;
    const headers = {};
    if (at("token").value) headers.authorization = `Bearer ${at("token").value}`;
    if (body) headers["content-type"] = medias[0];
    output.hidden = false;
    try {
      const answer = await fetch(address, { method: method.toUpperCase(), headers, body: body?.value, credentials: "omit" });
      const text = await answer.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* It is no JSON, and shown as it is. */ }
      output.textContent = `${answer.status} ${answer.statusText}\n\n${shown}`;
    } catch (error) {
      output.textContent = `No answer: ${error.message}`;
    }
  });
  return form;
}

// What is behind an operation is made when it is opened: there are many.
function opened(root, path, method, operation) {
  const parts = [];
  const parameters = resolved(root, operation.parameters ?? []);
  if (parameters.length) {
    const row = (it) => [it.name, it.in, it.required ? "required" : "", it.description ?? "", JSON.stringify(it.schema)];
    parts.push(make("h3", "Parameters"), table(parameters.map(row)));
  }
  for (const [media, content] of Object.entries(resolved(root, operation.requestBody?.content ?? {}))) {
    parts.push(make("h3", `Body, ${media}`), pretty(content.schema));
  }
  parts.push(make("h3", "Answers"));
  for (const [status, answer] of Object.entries(operation.responses ?? {})) {
    const whole = resolved(root, answer);
    const line = make("details", "", make("summary", `${status} ${whole.description ?? ""}`));
    for (const [media, content] of Object.entries(whole.content ?? {})) line.append(make("div", media), pretty(content.schema));
    parts.push(line);
  }
  parts.push(make("h3", "Try it"), tryIt(path, method, { ...operation, parameters }));
  return parts;
}

function shown(root, path, method, operation) {
  const summary = make("summary", "", classed("span", method.toUpperCase(), "method"), make("code", path),
    document.createTextNode(` ${operation.summary ?? ""}`), classed("span", asks(operation), "asks"));
  const details = make("details", "", summary);
  details.dataset.words = `${method} ${path} ${operation.summary ?? ""} ${asks(operation)}`.toLowerCase();
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(...opened(root, path, method, operation));
  });
  return details;
}

async function main() {
  const place = at("operations");
  try {
    const answer = await fetch("/api/openapi.json", { credentials: "omit" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const root = await answer.json();
    at("title").textContent = `${root.info.title} ${root.info.version}`;
    const groups = new Map();
    for (const [path, methods] of Object.entries(root.paths)) {
      for (const method of METHODS.filter((it) => methods[it])) {
        const tag = methods[method].tags?.[0] ?? "other";
        if (!groups.has(tag)) groups.set(tag, []);
        groups.get(tag).push(shown(root, path, method, methods[method]));
      }
    }
    const names = [...groups.keys()].sort();
    place.replaceChildren(...names.map((it) => make("section", "", make("h2", it), ...groups.get(it))));
  } catch (error) {
    place.textContent = `The description cannot be read: ${error.message}`;
  }
}

at("filter").addEventListener("input", () => {
  const wanted = at("filter").value.toLowerCase();
  for (const section of document.querySelectorAll("section")) {
    const operations = [...section.querySelectorAll(":scope > details")];
    for (const it of operations) it.hidden = !it.dataset.words.includes(wanted);
    section.hidden = operations.every((it) => it.hidden);
  }
});

main();
