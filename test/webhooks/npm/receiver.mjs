// Takes webhooks, checks each with the public library under every secret that it
// is given, and says on standard output, one JSON a line, what it was sent.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const hooks = process.argv.slice(2).map((secret) => new Webhook(secret));

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString("utf8");
    const says = { id: request.headers["webhook-id"], verified: 0, refused: [] };
    for (const hook of hooks) {
      try {
        says.message = hook.verify(body, request.headers);
        says.verified++;
      } catch (error) {
        says.refused.push(String(error));
      }
      try {
        hook.verify(body + " ", request.headers);
        says.refused.push("another body is taken");
      } catch {
        // As it must be.
      }
    }
    console.log(JSON.stringify(says));
    response.writeHead(204).end();
  });
});

server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
