// Each line must fail to compile: a generated type that allows anything would prove nothing.
import type { components, paths } from "./schema.d.ts";

type Asked = paths["/v1/answer"]["post"]["requestBody"]["content"]["application/json"];

// @ts-expect-error the question is missing
const short: Asked = { image: "AAAA" };
// @ts-expect-error there is no such role
const turn: components["schemas"]["Message"] = { role: "tool", content: "3" };
// @ts-expect-error it is text
const answer: components["schemas"]["AnswerResponse"]["answer"] = 3;
export { answer, short, turn };
