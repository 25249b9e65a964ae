// A client that is not ours: undici, with connections that are kept and requests in a row on them.
//
//	undici.cjs URL IMAGE_PATH PHOTO		prints a JSON object of what it saw
const path = require("node:path");
const fs = require("node:fs");
const { Client, FormData, File, fetch, Agent } = require(path.join(process.env.S3_MODULES, "undici"));

const [, , url, imagePath, photo] = process.argv;
const image = fs.readFileSync(photo);

async function text(response) {
    return { status: response.statusCode, body: Buffer.from(await response.body.arrayBuffer()), headers: response.headers };
}

async function main() {
    const seen = {};
    const client = new Client(url, { pipelining: 10 });
    const whole = await text(await client.request({ path: imagePath, method: "GET" }));

    // Sent without waiting for each other, on one connection.
    const pipelined = await Promise.all(Array.from({ length: 50 }, (_, n) =>
        client.request({ path: imagePath, method: "GET", headers: n % 2 ? { range: `bytes=${n}-${n + 9}` } : {} }).then(text)));
    seen.pipelined = pipelined.every((answer, n) => n % 2
        ? answer.status === 206 && answer.body.equals(whole.body.subarray(n, n + 10))
        : answer.status === 200 && answer.body.equals(whole.body));
    seen.head = (await text(await client.request({ path: imagePath, method: "HEAD" }))).headers["content-length"] === String(whole.body.length);
    seen.not_modified = (await text(await client.request({ path: imagePath, method: "GET", headers: { "if-none-match": whole.headers.etag } }))).status;

    // A body whose length is not known before goes in chunks.
    async function* parts() {
        for (let at = 0; at < image.length; at += 10000) yield image.subarray(at, at + 10000);
    }
    const chunked = await text(await client.request({ path: "/metadata", method: "POST", headers: { "content-type": "image/jpeg", expect: undefined }, body: parts() }));
    seen.chunked = JSON.parse(chunked.body).width;
    await client.close();

    const form = new FormData();
    form.set("a", new File([image], "größe \"x\".jpg", { type: "image/jpeg" }));
    form.set("b", new File([image], "日本.jpg"));
    form.set("note", "ü");
    const dispatcher = new Agent({ connections: 1 });
    const answer = await fetch(`${url}/metadata/batch`, { method: "POST", body: form, dispatcher });
    seen.form = (await answer.json()).results.map((result) => `${result.filename} ${result.width}`);
    const options = await fetch(`${url}/process`, { method: "OPTIONS", dispatcher });
    seen.allow = options.headers.get("allow");
    await dispatcher.close();
    console.log(JSON.stringify(seen));
}

main();
