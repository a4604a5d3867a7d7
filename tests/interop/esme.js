// An ESME made of the npm package `smpp`, a service with one menu: it binds to the SMSC that it is given and answers
// every dial with a menu, every answer with a last screen, and every SMS with an SMS. What happens is told in one JSON
// line an event on standard output.
'use strict';

const smpp = require('smpp');

const [url, systemId, password] = process.argv.slice(2);
const BEGIN = 0x01;
const MENU = 0x02;
const END = 0x11;

function tell(event, about) {
  process.stdout.write(JSON.stringify({ event, ...about }) + '\n');
}

const session = smpp.connect(url, () => {
  session.bind_transceiver({ system_id: systemId, password, interface_version: 0x34 }, (response) => {
    tell('bound', { status: response.command_status, system_id: response.system_id });
  });
});
session.on('error', (error) => tell('error', { text: String(error) }));
session.on('close', () => {
  tell('closed', {});
  process.exit(0);
});
session.on('enquire_link', (pdu) => session.send(pdu.response()));
session.on('unbind', (pdu) => {
  session.send(pdu.response());
  session.close();
});

session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  const said = pdu.short_message.message;
  tell('deliver', { said, op: pdu.ussd_service_op, source: pdu.source_addr, destination: pdu.destination_addr });
  const answer = { source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, data_coding: 8 };
  if (pdu.ussd_service_op === undefined) {
    session.submit_sm({ ...answer, short_message: `Получено: ${said}` }, responded);
    return;
  }
  const ends = pdu.ussd_service_op !== BEGIN;
  const info = Buffer.from(pdu.its_session_info);
  info[1] = (info[1] & 0xfe) | (ends ? 1 : 0);
  session.submit_sm({
    ...answer,
    service_type: 'USSD',
    short_message: ends ? `Вы выбрали ${said}` : 'Меню\n1 Да\n2 Нет',
    ussd_service_op: ends ? END : MENU,
    its_session_info: info,
  }, responded);
});

function responded(response) {
  tell('responded', { status: response.command_status });
}

process.stdin.on('end', () => session.unbind(() => session.close())).resume();
