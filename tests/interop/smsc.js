// An SMSC made of the npm package `smpp`, driven by the tests: one JSON command a line on standard input, one JSON event
// a line on standard output. Octets travel as {"hex": "..."} both ways.
//
// Commands: {"do": "send", "id": 1, "command": "deliver_sm", "fields": {...}}   a PDU with these fields and TLVs
//           {"do": "raw", "hex": "..."}                                         octets as they are
//           {"do": "acknowledge", "status": 0}                                  how submit_sm are answered from now on
//           {"do": "drop", "bind": "bind_receiver"}                             cut the connection that asked for this
//                                                                               bind, without one the last to ask
// Events:   listening, bind, submit, response, acknowledging, other, closed, error
'use strict';

const readline = require('readline');
const smpp = require('smpp');

smpp.addTLV('comverse_session', { id: 0x1501, type: smpp.types.tlv.buffer });

const [systemId, password] = process.argv.slice(2);
const BINDS = ['bind_transceiver', 'bind_transmitter', 'bind_receiver'];
const SUBMITS = ['bind_transceiver', 'bind_transmitter'];

let session = null; // what is sent goes here: the last transceiver or receiver that was bound
const sessions = {}; // the last one of each bind
let acknowledgeWith = 0;
let messageId = 0;

// The package keeps no octets of what it parsed; the tests want to count them.
const parse = smpp.PDU.prototype.fromBuffer;
smpp.PDU.prototype.fromBuffer = function (buffer) {
  Object.defineProperty(this, 'octets', { value: Buffer.from(buffer) });
  return parse.call(this, buffer);
};

function tell(event, about) {
  process.stdout.write(JSON.stringify({ event, ...about }) + '\n');
}

function plain(value) {
  if (Buffer.isBuffer(value)) return { hex: value.toString('hex') };
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date) return value.toISOString();
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

function live(value) {
  return value && typeof value === 'object' && 'hex' in value ? Buffer.from(value.hex, 'hex') : value;
}

// The text's own octets, before the package decodes them.
function textOctets(pdu) {
  const octets = pdu.octets;
  if (pdu.command === 'data_sm') return Buffer.alloc(0); // its text is a TLV
  let at = 16;
  const skipString = () => { at = octets.indexOf(0, at) + 1; };
  skipString();
  at += 2; skipString();
  at += 2; skipString();
  at += 3; skipString(); skipString();
  at += 4;
  return octets.subarray(at + 1, at + 1 + octets[at]);
}

function onSubmit(opened, pdu) {
  if (!SUBMITS.some((command) => sessions[command] === opened)) {
    opened.send(pdu.response({ command_status: smpp.ESME_RINVBNDSTS }));
    tell('error', { text: 'a submit_sm came on a receiver' });
    return;
  }
  opened.send(pdu.response({ command_status: acknowledgeWith, message_id: String(++messageId) }));
  tell('submit', { pdu: plain(pdu), message_id: String(messageId), octets: textOctets(pdu).toString('hex') });
}

function onSession(opened) {
  opened.on('error', (error) => tell('error', { text: String(error) }));
  opened.on('close', () => tell('closed', {}));
  for (const command of BINDS) {
    opened.on(command, (pdu) => {
      const granted = pdu.system_id === systemId && pdu.password === password;
      if (granted) sessions[command] = opened;
      if (granted && command !== 'bind_transmitter') session = opened;
      opened.send(pdu.response(granted ? { system_id: 'node' } : { command_status: smpp.ESME_RBINDFAIL }));
      tell('bind', { command, granted, system_id: pdu.system_id, interface_version: pdu.interface_version });
    });
  }
  opened.on('submit_sm', (pdu) => onSubmit(opened, pdu));
  opened.on('data_sm', (pdu) => onSubmit(opened, pdu));
  opened.on('enquire_link', (pdu) => opened.send(pdu.response()));
  opened.on('unbind', (pdu) => {
    opened.send(pdu.response());
    opened.close();
  });
  opened.on('unknown', (pdu) => tell('other', { pdu: plain(pdu) }));
}

function send({ id, command, fields }) {
  const values = Object.fromEntries(Object.entries(fields || {}).map(([key, value]) => [key, live(value)]));
  const pdu = new smpp.PDU(command, values);
  session.send(pdu, (response) => {
    tell('response', { id, command: response.command, status: response.command_status, pdu: plain(response) });
  });
}

function obey(line) {
  const command = JSON.parse(line);
  if (command.do === 'send') send(command);
  else if (command.do === 'raw') session.socket.write(Buffer.from(command.hex, 'hex'));
  else if (command.do === 'acknowledge') {
    acknowledgeWith = command.status;
    tell('acknowledging', { status: acknowledgeWith });
  }
  else if (command.do === 'drop') (command.bind ? sessions[command.bind] : session).destroy();
  else throw new Error(`unknown command ${line}`);
}

const server = smpp.createServer(onSession);
server.listen(0, '127.0.0.1', () => tell('listening', { port: server.address().port, version: require('smpp/package.json').version }));
readline.createInterface({ input: process.stdin }).on('line', obey).on('close', () => process.exit(0));
