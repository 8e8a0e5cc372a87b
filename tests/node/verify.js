// Verifies Sigstore bundles with @sigstore/verify, as it comes.
//
//   node verify.js TRUSTED_ROOT < BUNDLES
//
// Bundles are JSON, one a line. Prints one line for each: VERIFIED, or REFUSED and why.
'use strict';

const { readFileSync } = require('node:fs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { toSignedEntity, toTrustMaterial, Verifier } = require('@sigstore/verify');

const root = TrustedRoot.fromJSON(JSON.parse(readFileSync(process.argv[2], 'utf8')));
// The Statement is signed by the log's own key; a bundle names it by the first bytes of its id.
const keys = {};
for (const log of root.tlogs) {
  const hint = Buffer.from(log.logId.keyId).subarray(0, 4).toString('hex');
  keys[hint] = log.publicKey;
}
const trust = toTrustMaterial(root, keys);
const verifier = new Verifier(trust, { tlogThreshold: 1, timestampThreshold: 0, ctlogThreshold: 0 });

for (const line of readFileSync(0, 'utf8').trimEnd().split('\n')) {
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(line))));
    console.log('VERIFIED');
  } catch (error) {
    console.log(`REFUSED ${error.code ?? error.name}: ${error.message.split('\n')[0]}`);
  }
}
