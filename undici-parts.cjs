// undici without what is not used of it: fetch, caches, mocks, WebSocket. Its index loads all of that, half a megabyte and a good
// part of the command's start (nodejs/undici has no exports that could be shaken). Bundles take this file for `undici`.
// The first line is the index's own.
Object.assign(require('./node_modules/undici/lib/dispatcher/dispatcher').prototype, require('./node_modules/undici/lib/api'));
exports.Agent = require('./node_modules/undici/lib/dispatcher/agent');
exports.errors = require('./node_modules/undici/lib/core/errors');
