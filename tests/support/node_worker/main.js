// A worker on one queue, over StreamMessages. It says on standard output what it does.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');

const [protos, address, queue] = process.argv.slice(2);
const files = ['consumer_service', 'queue_service'].map((name) => `baton/queue/v1/${name}.proto`);
const options = { includeDirs: [protos], keepCase: true, longs: String, enums: String, oneofs: true };
const { v1 } = grpc.loadPackageDefinition(loader.loadSync(files, options)).baton.queue;
const credentials = grpc.credentials.createInsecure();

const { root } = protobuf.parse(`syntax = "proto3"; package google;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }`, { keepCase: true });

function errorInfo(error) {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  const { details } = root.lookupType('google.Status').decode(bytes);
  const found = details.find((detail) => detail.type_url.endsWith('/google.rpc.ErrorInfo'));
  return root.lookupType('google.ErrorInfo').decode(found.value);
}

function beRefused() {
  const queues = new v1.QueueService(address, credentials);
  queues.GetQueue({ name: 'nowhere' }, { deadline: Date.now() + 10_000 }, (error) => {
    const { reason, metadata } = errorInfo(error);
    console.log('refused', error.code, reason, metadata.queue);
    queues.close();
  });
}

function work() {
  const consumer = new v1.ConsumerService(address, credentials);
  const stream = consumer.StreamMessages();
  const settling = new Map();
  let sequence = 0;
  const send = (request) => stream.write({ sequence: ++sequence, ...request });

  stream.on('data', (response) => {
    for (const leased of response.batch?.messages ?? []) {
      const settlement = settle(leased);
      if (!settlement) {
        console.log('holds', leased.message.text);
        continue;
      }
      send({ settle: { settlements: [settlement] } });
      settling.set(String(sequence), `${leased.message.text} ${leased.attempt}`);
    }
    for (const { outcome } of response.settled?.results ?? []) {
      console.log('settled', settling.get(response.sequence), outcome);
    }
    if (response.notice) console.log('notice', response.notice.kind, response.notice.status?.message);
  });
  stream.on('error', (error) => {
    console.error(error);
    process.exitCode = 1;
  });
  stream.on('status', ({ code }) => {
    console.log('ended', code);
    consumer.close();
  });
  process.once('SIGTERM', () => {
    send({ drain: {} });
    stream.end();
  });
  // An empty duration is an explicit 0.
  const flow_control = { max_outstanding_messages: 2 };
  send({ open: { queue, consumer_instance: 'node', keep_leases: true, max_batch_timeout: {}, flow_control } });
}

// What becomes of a message by its text, nothing for one that is held to the end.
function settle({ lease_id, message: { text }, attempt }) {
  if (text === 'held') return undefined;
  if (text === 'hopeless') return { lease_id, reject: { code: 'HOPELESS' } };
  if (text === 'failing' && attempt === 1) return { lease_id, retry: { delay: { nanos: 200_000_000 }, code: 'AGAIN' } };
  return { lease_id, ack: {} };
}

beRefused();
work();
