// What the server is asked for, and the live stream.

/** An answer of the API; what went wrong is an Error with words for a person. */
export async function ask(path, query = {}) {
  const parts = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const answer = await fetch(address(path, Object.fromEntries(parts)), { headers: { accept: "application/json" } });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  const problem = new Error(told.detail ?? told.title ?? `the server answers ${answer.status}`);
  problem.status = answer.status;
  throw problem;
}

/** Where something is asked for; also for links that download. */
export function address(path, query = {}) {
  const text = new URLSearchParams(query).toString();
  return `/api/v1/${path}${text ? `?${text}` : ""}`;
}

/** The live stream behind an event's id: `tick` says that something is new, `notable` is an event. What it returns ends it. */
export function listen({ after, tick, notable, state }) {
  const stream = new EventSource(address("stream", after ? { after } : {}));
  const parsed = (handle) => (message) => handle(JSON.parse(message.data));
  stream.addEventListener("tick", parsed(tick));
  stream.addEventListener("notable", parsed(notable));
  stream.addEventListener("open", () => state("open"));
  stream.addEventListener("error", () => state(stream.readyState === EventSource.CLOSED ? "closed" : "lost"));
  return () => stream.close();
}
