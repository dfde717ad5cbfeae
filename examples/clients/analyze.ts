// Analyse a recording with fetch: node analyze.ts [URL [FILE]]. Node 22.18 and newer run this file as it is.
// ACCESS_TOKEN in the environment is sent along, for a service that identifies its callers.
import { readFile } from "node:fs/promises";
import { argv, env, exit } from "node:process";

interface Absence {
  reason: string;
  detail: string;
}

interface Metric {
  code: string;
  value: number | null; // null: absent says why
  unit: string;
  absent: Absence | null;
}

interface Analysis {
  schema: "pat-analysis/1";
  sleep: { scorer: string | null; valid_nights: number; metrics: Metric[] };
  rhythm: { metrics: Metric[] };
  weeks: { start: string; embedding: number[] | null; absent: Absence | null }[];
  statement: string;
}

interface Problem {
  status: number;
  code: string;
  detail: string;
  where?: string;
  errors?: { where: string; code: string }[];
}

class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    const places = (problem.errors ?? []).map((error) => error.where).join(", ");
    super(`${problem.status} ${problem.code}: ${problem.detail} ${places}`.trimEnd());
    this.problem = problem;
  }
}

async function analyze(url: string, recording: string, token: string): Promise<Analysis> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const signal = AbortSignal.timeout(60_000);
  const answer = await fetch(`${url}/analyze`, { method: "POST", headers, body: recording, signal });
  if (!answer.ok) throw new Refused((await answer.json()) as Problem);
  return (await answer.json()) as Analysis;
}

const [url = "http://127.0.0.1:3000", file = "examples/week.json"] = argv.slice(2);
try {
  const analysis = await analyze(url, await readFile(file, "utf8"), env.ACCESS_TOKEN ?? "");
  for (const { code, value, unit, absent } of [...analysis.sleep.metrics, ...analysis.rhythm.metrics]) {
    console.log(code, value === null ? `absent: ${absent?.reason}` : `${value.toFixed(2)} ${unit}`);
  }
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(error.message);
  exit(1);
}
