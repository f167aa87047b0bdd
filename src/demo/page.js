// The stand-in's page: signs in, lists the models it may use, sends a message and shows the stream as it comes.
const output = document.getElementById("output");
const signIn = document.getElementById("sign-in");
const chat = document.getElementById("chat");
let token = "";

const show = (text) => { output.textContent += text; };

async function call(path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer;
}

signIn.addEventListener("submit", async (event) => {
  event.preventDefault();
  output.textContent = "";
  try {
    const { email, password } = Object.fromEntries(new FormData(signIn));
    token = (await (await call("/api/auth/login", { email, password })).json()).token;
    const shown = await (await call("/api/endpoints")).json();
    const models = await (await call("/api/models")).json();
    chat.elements.choice.replaceChildren(...Object.entries(models)
      .filter(([endpoint]) => endpoint in shown)
      .flatMap(([endpoint, names]) => names.map((name) => new Option(`${endpoint}: ${name}`, JSON.stringify({
        endpoint, model: name, endpointType: shown[endpoint].type,
      })))));
    chat.hidden = false;
  } catch (fault) {
    show(`${fault.message}\n`);
  }
});

chat.addEventListener("submit", async (event) => {
  event.preventDefault();
  output.textContent = "";
  try {
    const { choice, text } = Object.fromEntries(new FormData(chat));
    const body = { text, parentMessageId: "00000000-0000-0000-0000-000000000000", ...JSON.parse(choice) };
    const { streamId } = await (await call("/api/agents/chat", body)).json();
    const reader = (await call(`/api/agents/chat/stream/${streamId}`)).body.pipeThrough(new TextDecoderStream());
    let rest = "";
    for await (const piece of reader) {
      const frames = (rest + piece).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const data = JSON.parse(frame.slice(frame.indexOf("data: ") + 6));
        show((data.data?.delta?.content ?? []).map((part) => part.text).join(""));
        if (data.error) show(`\n${data.error}\n`);
      }
    }
  } catch (fault) {
    show(`${fault.message}\n`);
  }
});
