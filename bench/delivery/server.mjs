// What an application would write itself: an image from a table over HTTP, with node and pg.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const { Pool } = createRequire(process.env.NODE_PATH + '/')('pg');
const pool = new Pool({ max: 4 });
const text = 'SELECT data FROM imgexport.image WHERE image_id = $1';

const server = createServer(async (request, response) => {
    const id = request.url.replace(/^\/static\/output\//, '').replace(/\.\w+$/, '');
    const { rows } = await pool.query({ name: 'image', text, values: [id] });
    if (rows.length === 0) {
        response.writeHead(404).end();
        return;
    }
    response.writeHead(200, { 'Content-Type': 'image/jpeg', 'Content-Length': rows[0].data.length });
    response.end(rows[0].data);
});
server.listen(0, '127.0.0.1', () => console.error(`listening on http://127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
