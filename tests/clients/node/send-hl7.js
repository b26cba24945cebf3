// Sends HL7v2 messages over MLLP with the library simple-hl7; prints MSA of each answer as JSON.
import hl7 from "simple-hl7";
import process from "node:process";

const [port, control] = process.argv.slice(2);
const client = hl7.Server.createTcpClient({ host: "127.0.0.1", port: Number(port), keepalive: true });

function admission(number) {
  const message = new hl7.Message(
    "REG", "HOSP", "TELLONCE", "MAIN", "20260102030405", "", ["ADT", "A04"], `${control}-${number}`, "P", "2.5",
  );
  message.addSegment("EVN", "A04", "20260102030405");
  message.addSegment("PID", "1", "", ["N77", "", "", "HOSP", "MR"], "", ["Ødegård", "Jane"], "", "19700503", "F");
  message.addSegment("PV1", "1", "O");
  return message;
}

function send(message) {
  return new Promise((resolve, reject) =>
    client.send(message, (error, ack) => (error ? reject(error) : resolve(ack))),
  );
}

const told = [];
for (const number of [1, 2, 1]) {
  const ack = await send(admission(number));
  const msa = ack.getSegment("MSA");
  told.push([String(msa.getField(1)), String(msa.getField(2))]);
}
console.log(JSON.stringify(told));
process.exit(0);
