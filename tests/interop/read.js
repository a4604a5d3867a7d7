// Reads PDUs, one a line in hex on standard input, with the npm package `smpp`; prints what each says as a line of JSON,
// and as `octets` how the package would write the same.
'use strict';

const readline = require('readline');
const smpp = require('smpp');

smpp.addTLV('comverse_session', { id: 0x1501, type: smpp.types.tlv.buffer });

function plain(key, value) {
  return value && value.type === 'Buffer' ? { hex: Buffer.from(value.data).toString('hex') } : value;
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const pdu = smpp.PDU.fromBuffer(Buffer.from(line, 'hex'));
  const said = JSON.parse(JSON.stringify(pdu, plain));
  const octets = new smpp.PDU(pdu.command, { ...pdu }).toBuffer().toString('hex');
  process.stdout.write(JSON.stringify({ ...said, octets }) + '\n');
});
