// Receives HL7v2 messages over MLLP with the library simple-hl7; prints each as a line of JSON.
import hl7 from "simple-hl7";
import process from "node:process";

const server = hl7.Server.createTcpServer((error, request, response) => {
  if (error) {
    console.log(JSON.stringify({ error: String(error) }));
    return;
  }
  const pid = request.msg.getSegment("PID");
  console.log(
    JSON.stringify({
      type: `${request.type}^${request.event}`,
      id: String(request.msg.header.getField(8)),
      number: String(pid.getComponent(3, 1)),
      family: String(pid.getComponent(5, 1)),
    }),
  );
  response.end();
});

server.start(Number(process.argv[2]), "utf-8");
server.server.on("listening", () => console.log(JSON.stringify({ port: server.server.address().port })));
