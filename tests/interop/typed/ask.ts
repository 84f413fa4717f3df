// Asks both routes through types generated from the document: a wrong field or type does not compile.
import { readFileSync } from "node:fs";
import type { components, paths } from "./schema.d.ts";

type Answer = paths["/v1/answer"]["post"]["responses"]["200"]["content"]["application/json"];
type Completion = paths["/v1/chat/completions"]["post"]["responses"]["200"]["content"]["application/json"];
type Asked = paths["/v1/answer"]["post"]["requestBody"]["content"]["application/json"];
type Chat = paths["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"];
type Message = components["schemas"]["Message"];

const [url, file] = process.argv.slice(2);
const picture = `data:image/png;base64,${readFileSync(file!).toString("base64")}`;
const question = "How many shapes are there?";

async function post<Body, Reply>(path: string, body: Body): Promise<Reply> {
  const reply = await fetch(url + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!reply.ok) throw new Error(await reply.text());
  return (await reply.json()) as Reply;
}

const asked: Asked = { image: picture, question };
const turn: Message = {
  role: "user",
  content: [
    { type: "image_url", image_url: { url: picture } },
    { type: "text", text: question },
  ],
};
const chat: Chat = { messages: [turn], max_tokens: 8 };
const answer = await post<Asked, Answer>("/v1/answer", asked);
const completion = await post<Chat, Completion>("/v1/chat/completions", chat);
const tokens: number = answer.usage.completion_tokens + completion.usage.completion_tokens;
console.log(JSON.stringify({ answer: answer.answer, chat: completion.choices[0]!.message.content, tokens }));
