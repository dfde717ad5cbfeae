"use strict";
// Swagger UI over /openapi.json. A token stays in this variable: in no storage, in no address, on no other host.

const form = document.getElementById("caller");
const said = document.getElementById("said");
let token = "";

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("token");
  token = field.value.trim().replace(/^Bearer\s+/i, "");
  field.value = "";
  load();
});

function withToken(request) {
  if (token && new URL(request.url, location.href).origin === location.origin) {
    request.headers = { ...request.headers, Authorization: `Bearer ${token}` };
  }
  return request;
}

async function load() {
  const request = withToken({ url: "openapi.json", headers: {} });
  let answer;
  try {
    answer = await fetch(request.url, { headers: request.headers, cache: "no-store", credentials: "omit" });
  } catch {
    said.textContent = "The service does not answer.";
    return;
  }
  const body = await answer.json();
  if (answer.ok) {
    show(body);
  } else {
    form.hidden = false;
    said.textContent = body.detail;
  }
}

function show(spec) {
  said.textContent = token ? "The token is used for every operation below until the page is closed." : "";
  SwaggerUIBundle({
    spec,
    domNode: document.getElementById("operations"),
    requestInterceptor: withToken,
    showMutatedRequest: false, // else the shown curl command would hold the token
    persistAuthorization: false,
    queryConfigEnabled: false,
    validatorUrl: null,
    tryItOutEnabled: true,
    defaultModelsExpandDepth: -1,
  });
}

if (document.documentElement.dataset.callers === "identified") {
  form.hidden = false;
} else {
  load();
}
