// An S3 for tests, in a folder of its own; says its port, and stops when its input ends.
// Usage: node s3.cjs FOLDER BUCKET
//
// s3rver does nearly all that an S3 does, but it takes any signature of version 4.  So each
// request is signed here once more, by what AWS's own client signs with, and has to agree.
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { createRequire } = require('module');
const { Readable } = require('stream');
const load = createRequire(process.env.S3_MODULES + '/');
const S3rver = load('s3rver');
const { SignatureV4 } = load('@smithy/signature-v4');
const { HttpRequest } = load('@smithy/protocol-http');
const { Sha256 } = load('@aws-crypto/sha256-js');

const KEY = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };
const HASH = 'x-amz-content-sha256';
const [folder, bucket] = process.argv.slice(2);

const moment = (stamp) => new Date(stamp.replace(
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
const signer = (region) => new SignatureV4({
    credentials: KEY, region, service: 's3', sha256: Sha256, uriEscapePath: false });

function part(request, url, query, headers) {
    return new HttpRequest({ method: request.method, protocol: 'http:', hostname: request.headers.host,
        path: url.pathname, query, headers });
}

async function signedInHeader(request, url, body) {
    const given = /Credential=([^/]+)\/\d+\/([^/]+)\/s3\/aws4_request,SignedHeaders=([^,]+),Signature=(\w+)$/
        .exec(request.headers.authorization);
    const hash = crypto.createHash('sha256').update(body).digest('hex');
    if (!given || given[1] !== KEY.accessKeyId || hash !== request.headers[HASH])
        return false;
    const headers = Object.fromEntries(given[3].split(';').map((name) => [name, request.headers[name]]));
    const signed = await signer(given[2]).sign(part(request, url, Object.fromEntries(url.searchParams), headers),
        { signingDate: moment(request.headers['x-amz-date']) });
    return signed.headers.authorization.endsWith(`Signature=${given[4]}`);
}

async function signedInQuery(request, url) {
    const query = Object.fromEntries(url.searchParams);
    const own = Object.fromEntries(Object.entries(query).filter(([name]) => !name.startsWith('X-Amz-')));
    const signed = await signer(query['X-Amz-Credential'].split('/')[2])
        .presign(part(request, url, own, { host: request.headers.host, [HASH]: 'UNSIGNED-PAYLOAD' }),
            { signingDate: moment(query['X-Amz-Date']), expiresIn: Number(query['X-Amz-Expires']),
              unsignableHeaders: new Set([HASH]), unhoistableHeaders: new Set([HASH]) });
    return signed.query['X-Amz-Signature'] === query['X-Amz-Signature'];
}

async function check(request, body) {
    const url = new URL(request.url, 'http://x');
    if (url.searchParams.has('X-Amz-Signature'))
        return signedInQuery(request, url);
    return request.headers.authorization ? signedInHeader(request, url, body) : false;
}

const s3 = new S3rver({ directory: folder, silent: true, configureBuckets: [{ name: bucket }],
    vhostBuckets: true, serviceEndpoint: 'localhost' });

// What was read to be checked is read by the S3 again.
function replay(request, body) {
    const again = Readable.from(body.length ? [body] : []);
    for (const name of ['method', 'url', 'headers', 'rawHeaders', 'httpVersion', 'socket', 'connection'])
        again[name] = request[name];
    return again;
}

// Nor does s3rver know the end of an upload in parts that is given up.
function giveUp(request, response) {
    const upload = new URL(request.url, 'http://x').searchParams.get('uploadId');
    if (request.method !== 'DELETE' || !upload)
        return false;
    const parts = path.join(folder, bucket, '._S3rver_uploads', upload.replace(/[^0-9a-f]/g, ''));
    fs.appendFileSync(path.join(folder, 'given-up'), `${upload} ${fs.existsSync(parts)}\n`);
    fs.rmSync(parts, { recursive: true, force: true });
    response.writeHead(204);
    response.end();
    return true;
}

s3.configureBuckets().then(() => {
    const answer = s3.callback();
    const server = http.createServer((request, response) => {
        const parts = [];
        request.on('data', (data) => parts.push(data)).on('end', async () => {
            const body = Buffer.concat(parts);
            if (await check(request, body).catch(() => false)) {
                if (!giveUp(request, response))
                    answer(replay(request, body), response);
                return;
            }
            response.writeHead(403, { 'content-type': 'application/xml' });
            response.end('<Error><Code>SignatureDoesNotMatch</Code></Error>');
        });
    });
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));
    process.stdin.on('end', () => process.exit(0)).resume();
});
