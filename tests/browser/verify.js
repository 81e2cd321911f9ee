// Verifies webhooks as a partner's shop in JavaScript does: one JSON object a line {secret, headers, body}, one word a line back.
"use strict";
const { Webhook, WebhookVerificationError } = require("standardwebhooks");
const lines = require("node:readline").createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { secret, headers, body } = JSON.parse(line);
  try {
    const told = new Webhook(secret).verify(body, headers);
    console.log("verified " + told.type);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.log("refused " + error.message);
  }
});
